"""For the tests of the command that are in Python: run crs, wait for things, say what failed.

A test is a function test_...; run(globals()) runs all of them, each in a directory and a store of
its own, and exits with 1 when one failed. The tool is $CRS.
"""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

CRS = os.path.realpath(os.environ.get("CRS", "./crs"))
PATIENCE = 4 if "CRS_TESTS_SLOW" in os.environ else 1
sys.dont_write_bytecode = True


class Skip(Exception):
    pass


def crs(*arguments, code=0, **options):
    """Run crs to its end; its exit code must be `code` (None: any)."""
    options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([CRS, *arguments], capture_output=True, text=True, check=False,
                          timeout=60 * PATIENCE, **options)
    if code is not None:
        assert done.returncode == code, \
            f"crs {' '.join(arguments)}: {done.returncode}, not {code}: {done.stdout}{done.stderr}"
    return done


def crs_json(*arguments, code=0, **options):
    document = json.loads(crs(*arguments, "--json", code=code, **options).stdout)
    assert document["schema"] == 1, document
    return document


def traceable():
    """For preexec_fn. Where yama lets only ancestors hold a process, this one may be held by anyone
    of the same user."""
    ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)  # PR_SET_PTRACER


@contextlib.contextmanager
def program(*command):
    """A program that is held directly, without a supervisor; ended when the test ends."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=traceable)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Job:
    """A command under crs run (or crs restart), ended when the test ends."""
    running = []

    def __init__(self, *arguments, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.PIPE)
        self.process = subprocess.Popen([CRS, *arguments], text=True, **options)
        self.pid = self.process.pid
        Job.running.append(self)

    def program(self):
        """The PID of its child, when that has become the command: by then the job is known."""
        def children():
            with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
                return [int(word) for word in file.read().split()
                        if os.path.realpath(f"/proc/{int(word)}/exe") != CRS]
        return until(children, "a child of crs run")[0]

    def end(self, code=None):
        _, self.err = self.process.communicate(timeout=30 * PATIENCE)
        if self in Job.running:
            Job.running.remove(self)
        if code is not None:
            assert self.process.returncode == code, \
                f"ended with {self.process.returncode}, not {code}: {self.err}"
        return self.process.returncode


def until(condition, words, seconds=10):
    end = time.monotonic() + seconds * PATIENCE
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {words}"
        time.sleep(0.01)


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(") ", 1)[1][0]
    except OSError:
        return "gone"


def content(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def store_path(*parts):
    return os.path.join(os.environ["CRS_STORE"], *parts)


def clean_up():
    for job in list(Job.running):
        try:
            os.kill(job.program(), signal.SIGKILL)
        except (OSError, AssertionError):
            pass
        job.process.kill()
        job.process.wait()
        Job.running.remove(job)


def run_one(name, test, top):
    place = os.path.join(top, name)
    os.mkdir(place)
    os.chdir(place)
    os.environ["CRS_STORE"] = os.path.join(place, "store")
    try:
        test()
        return True
    except Skip as reason:
        print(f"{name}: skipped: {reason}")
        return True
    except Exception:  # pylint: disable=broad-except
        print(f"FAILED: {name}")
        traceback.print_exc(file=sys.stdout)
        return False
    finally:
        clean_up()
        os.chdir(top)


def run(names):
    top = tempfile.mkdtemp(prefix="crs-test.")
    only = sys.argv[1:]
    tests = [(name, test) for name, test in names.items()
             if name.startswith("test_") and (not only or name in only)]
    try:
        good = [run_one(name, test, top) for name, test in tests]
    finally:
        os.chdir("/")
        shutil.rmtree(top, ignore_errors=True)
    sys.exit(0 if all(good) and good else 1)
