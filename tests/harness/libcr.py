"""BLCR's library: test programs that are linked with it (tests/libcr/*.c), and scripts.

A program says by `link:` in its first comment what else it is linked with, and is run from beside
copies of the libraries; a script finds them, the headers, the tests and crs-request below $LIBCR. Both judge
as the cases of scripts.py do.
"""
import glob
import os
import shutil

from . import build
from .cases import Case
from .scripts import judge, scripts_of

TIMEOUT_S = 120
LIBRARIES = ("libcr.so.0", "libcr_run.so.0", "libcr_omit.so.0", "libcr.a")


def cases(setup):
    found = []
    for source in sorted(glob.glob(os.path.join(setup.top, "tests", "libcr", "*.c"))):
        name = os.path.basename(source)[:-2]
        found += both(name, program_run(setup, source))
    for name, path in scripts_of(setup, "libcr"):
        found += both(name, script_run(setup, path))
    return found


def both(name, run):
    return [Case(f"libcr/{name}/{user}", run, user, TIMEOUT_S + 30) for user in ("root", "user")]


def program_run(setup, source):
    name = os.path.basename(source)[:-2]

    def run(env):
        place = stage(setup)
        program = build.once(setup, f"libcr/bin/{name}", lambda path: make(setup, source, path))
        run_here(env, place, program)
    return run


def script_run(setup, path):
    def run(env):
        place = stage(setup)
        run_here(env, place, os.path.join(place, "tests", os.path.basename(path)))
    return run


def run_here(env, place, program):
    command = ["env", f"LIBCR={place}", f"CRS_LIBEXEC={place}/libexec", program]
    code, out, err = env.run(*command, timeout=TIMEOUT_S)
    judge(code, out, err, os.path.basename(program))


def make(setup, source, path):
    """Linked in the build directory, where it is kept while its source is older."""
    binary = os.path.join(build.output_directory(setup, "libcr"), os.path.basename(path))
    libraries = os.path.join(setup.build, "src", "libcr")
    link = build.header(source).get("link", "-lcr")
    build.compile_c(source, binary, f"-L{libraries} {link} -Wl,-rpath,$ORIGIN/../lib".replace(
        "$ORIGIN", "'$ORIGIN'"), include=include(setup))
    shutil.copy(binary, path)


def include(setup):
    return [os.path.join(setup.top, place) for place in ("include", "src", "src/base")]


def stage(setup):
    """Copies of the libraries, the headers and crs-request."""
    built = os.path.join(setup.build, "src", "libcr")
    mark = build.once(setup, "libcr/lib/.copied", lambda path: copy_all(setup, built, path))
    return os.path.dirname(os.path.dirname(mark))


def copy_all(setup, built, mark):
    place = os.path.dirname(mark)
    for name in LIBRARIES:
        path = os.path.join(built, name)
        if not os.path.exists(path):
            raise build.BuildError(f"{path} is not there: run `make` first")
        shutil.copy(path, place)
    for name in ("libcr", "libcr_run", "libcr_omit"):
        os.symlink(f"{name}.so.0", os.path.join(place, f"{name}.so"))
    headers = os.path.join(os.path.dirname(place), "include")
    shutil.copytree(os.path.join(setup.top, "include"), headers)
    shutil.copytree(os.path.join(setup.top, "src", "base"), os.path.join(headers, "base"))
    shutil.copytree(os.path.join(setup.top, "tests", "libcr"),
                    os.path.join(os.path.dirname(place), "tests"))
    libexec = os.path.join(os.path.dirname(place), "libexec")
    os.mkdir(libexec, 0o755)
    request = os.path.join(setup.build, "cli", "crs-request")
    if os.path.exists(request):
        shutil.copy(request, libexec)
    open(mark, "w", encoding="ascii").close()
