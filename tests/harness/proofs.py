"""Programs that see nothing but libcr.h, as those that were written to BLCR do
(tests/libcr/programs/*.c): each request of theirs is carried out by crs-request.

Words of a program's first comment: `languages: c c++` compiles and runs it as C++ as well;
`full: yes` runs it once more with --full, with the argument "full". They judge as the cases of
scripts.py do.
"""
import glob
import os
import shutil

from . import build, libcr
from .cases import Case
from .scripts import judge

TIMEOUT_S = {False: 120, True: 1200}
COMPILERS = {"c": ("gcc", "-std=gnu17", ""), "c++": ("g++", "-std=gnu++17", "-c++")}


def cases(setup):
    found = []
    for source in sorted(glob.glob(os.path.join(setup.top, "tests", "libcr", "programs", "*.c"))):
        words = build.header(source)
        for language in words.get("languages", "c").split():
            found += cases_of(setup, source, language, False)
        if setup.options.full and words.get("full") == "yes":
            found += cases_of(setup, source, "c", True)
    return found


def cases_of(setup, source, language, full):
    name = os.path.basename(source)[:-2] + COMPILERS[language][2]
    run = runner(setup, source, name, language, full)
    return [Case(f"libcr/programs/{name}{'/full' if full else ''}/{user}", run, user,
                 TIMEOUT_S[full] + 30) for user in ("root", "user")]


def runner(setup, source, name, language, full):
    def run(env):
        place = libcr.stage(setup)
        program = build.once(setup, f"libcr/programs/{name}",
                             lambda path: make(setup, source, path, language))
        command = ["env", f"CRS_LIBEXEC={place}/libexec", program] + (["full"] if full else [])
        code, out, err = env.run(*command, timeout=TIMEOUT_S[full])
        judge(code, out, err, name)
    return run


def make(setup, source, path, language):
    """Linked in the build directory, where it is kept while its source is older."""
    compiler, standard, _ = COMPILERS[language]
    binary = os.path.join(build.output_directory(setup, "libcr-programs"), os.path.basename(path))
    build.compile_c(source, binary, f"{standard} -L{setup.build}/src/libcr -lcr "
                    "-Wl,-rpath,'$ORIGIN/../lib'", compiler,
                    include=[os.path.join(setup.top, "include")])
    shutil.copy(binary, path)
