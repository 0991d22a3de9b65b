"""Open PAL's service: test programs that are linked with its library (tests/openpal/*.c), and
scripts.

All of it is installed into the stage, as `make install` does, and is used from there: programs are
compiled with what pkg-config says of opal-crs. $OPENPAL is the installation's prefix; a program's
first comment may have `link:` (what else it is linked with), `args:`, and `part: no` for one that
only scripts run: those find the programs in $OPENPAL_PROGRAMS, and their sources and the other
scripts in $OPENPAL_TESTS. Both judge as the cases of scripts.py do.
"""
import glob
import os
import shlex
import shutil
import subprocess

from . import build
from .cases import Case
from .scripts import judge, scripts_of

TIMEOUT_S = 180


def cases(setup):
    found = []
    for source in sources(setup):
        if build.header(source).get("part") != "no":
            found += both(os.path.basename(source)[:-2], program_run(setup, source))
    for name, path in scripts_of(setup, "openpal"):
        found += both(name, script_run(setup, path))
    return found


def sources(setup):
    return sorted(glob.glob(os.path.join(setup.top, "tests", "openpal", "*.c")))


def both(name, run):
    return [Case(f"openpal/{name}/{user}", run, user, TIMEOUT_S + 30) for user in ("root", "user")]


def program_run(setup, source):
    def run(env):
        place = stage(setup)
        name = os.path.basename(source)[:-2]
        args = shlex.split(build.header(source).get("args", ""))
        run_here(env, place, os.path.join(place.programs, name), *args)
    return run


def script_run(setup, path):
    def run(env):
        place = stage(setup)
        run_here(env, place, os.path.join(place.tests, os.path.basename(path)))
    return run


def run_here(env, place, program, *args):
    """In a home of its own: parameters and snapshots of others don't count."""
    code, out, err = env.run("env", *place.environment(), "sh", "-c",
                             'HOME=$PWD exec "$@"', "sh", program, *args, timeout=TIMEOUT_S)
    judge(code, out, err, os.path.basename(program))


class Place:
    def __init__(self, setup):
        self.base = os.path.join(setup.stage, "openpal")
        self.root = os.path.join(self.base, "root")
        self.programs = os.path.join(self.base, "programs")
        self.tests = os.path.join(self.base, "tests")
        self.prefix = self.libraries = None

    def find(self):
        """Where the installation has put its library: the prefix is the build's."""
        path = glob.glob(os.path.join(self.root, "**", "libopal_crs.so"), recursive=True)
        if not path:
            raise build.BuildError("the library of Open PAL isn't installed")
        self.libraries = os.path.dirname(path[0])
        package = os.path.join(self.libraries, "pkgconfig", "opal-crs.pc")
        with open(package, encoding="utf-8") as file:
            line = next(line for line in file if line.startswith("prefix="))
        self.prefix = self.root + line.strip().split("=", 1)[1]
        return self

    def environment(self):
        names = ("CRS_STORE", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
        return [*(f"-u{name}" for name in names), f"OPENPAL={self.prefix}",
                f"OPENPAL_PROGRAMS={self.programs}", f"OPENPAL_TESTS={self.tests}",
                f"PKG_CONFIG_SYSROOT_DIR={self.root}",
                f"PKG_CONFIG_PATH={os.path.join(self.libraries, 'pkgconfig')}",
                f"LD_LIBRARY_PATH={self.libraries}"]

    def flags(self):
        done = subprocess.run(["env", *self.environment(), "pkg-config", "--cflags", "--libs",
                               "opal-crs"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise build.BuildError(f"pkg-config opal-crs: {done.stderr}")
        return done.stdout.strip()


def stage(setup):
    build.once(setup, "openpal/.installed", lambda mark: install(setup, mark))
    return Place(setup).find()


def install(setup, mark):
    place = Place(setup)
    command = ["meson", "install", "-C", setup.build, "--no-rebuild", "--destdir", place.root]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise build.BuildError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    os.makedirs(place.programs, 0o755, exist_ok=True)
    shutil.copytree(os.path.join(setup.top, "tests", "openpal"), place.tests, dirs_exist_ok=True)
    shutil.copy(os.path.join(setup.top, "tests", "cli", "lib.sh"), place.tests)
    shutil.copytree(os.path.join(setup.top, "examples"), os.path.join(place.tests, "examples"),
                    dirs_exist_ok=True)
    flags = place.find().flags()
    for source in sources(setup):
        compile_one(setup, place, source, flags)
    open(mark, "w", encoding="ascii").close()


def compile_one(setup, place, source, flags):
    """In the build directory, where it is kept while its source and the library are older."""
    name = os.path.basename(source)[:-2]
    binary = os.path.join(build.output_directory(setup, "openpal"), name)
    library = os.path.join(place.libraries, "libopal_crs.so")
    if os.path.exists(binary) and os.path.getmtime(binary) < newest_of(setup, library):
        os.unlink(binary)
    link = build.header(source).get("link", "")
    build.compile_c(source, binary, f"{flags} {link}")
    shutil.copy(binary, os.path.join(place.programs, name))


def newest_of(setup, library):
    headers = glob.glob(os.path.join(setup.top, "include", "openpal", "**", "*.h"), recursive=True)
    return max(os.path.getmtime(path) for path in [library, *headers])
