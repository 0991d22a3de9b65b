"""Builds victims and test programs, and puts copies of all that is under test where any user may
run them (the source tree may lie in a home that others can't enter)."""
import contextlib
import fcntl
import glob
import os
import re
import shlex
import shutil
import subprocess

CFLAGS = ["-std=gnu17", "-O1", "-g", "-D_GNU_SOURCE", "-Wall", "-Wno-unused-function", "-pthread"]


class BuildError(Exception):
    pass


def header(path):
    """The `key: value` lines of a file's first comment."""
    found = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file.read().splitlines()[:40]:
            match = re.match(r"[\s/*#\"!-]*([a-z]+):\s+(.*?)\s*(\*/)?$", line)
            if match:
                found.setdefault(match.group(1), match.group(2))
    return found


def compile_c(source, output, link="", compiler="gcc", include=()):
    """Compile if the source (or a header beside it) is newer than the program."""
    newest = max(os.path.getmtime(os.path.join(directory, name))
                 for directory in {os.path.dirname(source), *include}
                 for name in os.listdir(directory)
                 if name.endswith(".h") or os.path.join(directory, name) == source)
    if os.path.exists(output) and os.path.getmtime(output) > newest:
        return
    command = [compiler, *CFLAGS, *(f"-I{d}" for d in include), "-o", output, source,
               *shlex.split(link)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)}\n{done.stderr}")


@contextlib.contextmanager
def locked(setup):
    """One worker at a time builds and copies."""
    with open(os.path.join(setup.stage, ".lock"), "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def output_directory(setup, name):
    path = os.path.join(setup.build, "tests-" + name)
    os.makedirs(path, exist_ok=True)
    return path


def copy(source, setup, name=None):
    """Into the stage, executable by anyone."""
    target = os.path.join(setup.stage, name or os.path.basename(source))
    shutil.copy(source, target)
    os.chmod(target, os.stat(target).st_mode | 0o555)
    return target


def once(setup, name, make):
    """The staged file `name`, made by make(path) the first time it is asked for."""
    target = os.path.join(setup.stage, name)
    with locked(setup):
        if not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            make(target)
            os.chmod(target, os.stat(target).st_mode | 0o555)
    return target


def stage(setup, cases):
    """The tool itself; the parts copy what they need when their cases run."""
    if not any(case.part not in ("lint", "unit") for case in cases):
        return
    tool = os.path.join(setup.build, "cli", "crs")
    if not os.path.exists(tool):
        raise BuildError(f"{tool} is not there: run `make` first")
    copy(tool, setup)
    for line in subprocess.run(["ldd", tool], capture_output=True, text=True,
                               check=False).stdout.splitlines():
        match = re.match(r"\s*(\S+) => (\S+)", line)
        if match and match.group(2).startswith(os.path.realpath(setup.build)):
            raise BuildError(f"{tool} needs {match.group(2)}: the tool must stand alone")
    stage_blcr(setup)


def stage_blcr(setup):
    """BLCR's tools and its libraries, as an installation has them: they find each other."""
    for folder, pattern in (("bin", "cli/blcr/cr_*"), ("lib", "src/libcr/*.so.0"),
                            ("libexec/opencrs", "cli/crs-request")):
        os.makedirs(os.path.join(setup.stage, folder), exist_ok=True)
        for path in glob.glob(os.path.join(setup.build, pattern)):
            if os.path.isfile(path):
                copy(path, setup, os.path.join(folder, os.path.basename(path)))
