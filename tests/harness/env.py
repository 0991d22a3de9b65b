"""One case's surroundings: its directory, its user, and how it runs the tool and programs."""
import argparse
import copy
import os
import shutil
import signal
import subprocess
import time

from . import machine
from .cases import Failure, expect


class Setup:
    """What all cases share: where things are, and how long to be patient."""

    def __init__(self, top, build, stage, options):
        self.top = top
        self.build = build
        self.stage = stage  # world-readable copies of the programs under test
        self.crs = os.path.join(stage, "crs")
        self.set_options(options)
        self.uid, self.gid = os.getuid(), os.getgid()
        self.user_uid = self.user_gid = self.uid
        if os.geteuid() == 0:
            self.user_uid = self.user_gid = machine.free_uid()

    def set_options(self, options):
        self.options = options
        self.checkpoint = ["checkpoint"] + [f"--{name}={value}" for name, value in (
            ("freeze", options.freeze), ("compress", options.compress)) if value]
        self.increments = options.increments
        self.restart = ["restart"] + (["--lazy"] if options.lazy else [])
        self.key_file = os.path.join(self.stage, "key") if options.encrypt else None
        self.patience = 4 if options.slow else 1  # an instrumented tool is slower

    def changed(self, **options):
        """The same with other options."""
        other = copy.copy(self)
        other.set_options(argparse.Namespace(**(vars(self.options) | options)))
        return other

    def make_key(self):
        with open(os.path.join(self.stage, "key"), "wb") as file:
            file.write(os.urandom(32))


class Env:
    def __init__(self, setup, case, directory):
        self.setup = setup
        self.case = case
        self.dir = directory
        self.log = []  # what was run and what it said, for a failure's output
        self.root = case.user == "root" or (case.user == "any" and os.geteuid() == 0)
        self.uid = setup.uid if self.root else setup.user_uid
        self.gid = setup.gid if self.root else setup.user_gid
        self.store = os.path.join(directory, "store")
        self.started = []
        os.chmod(directory, 0o755)
        os.chown(directory, self.uid, self.gid)

    @property
    def patience(self):
        return self.setup.patience

    def path(self, name):
        return os.path.join(self.dir, name)

    def environment(self):
        keep = {k: v for k, v in os.environ.items()
                if k in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "LANG", "TERM")}
        return keep | {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": self.dir, "TMPDIR": self.dir, "CRS_STORE": self.store, "CRS": self.setup.crs,
            "CRS_LIBEXEC": os.path.join(self.setup.stage, "libexec", "opencrs"),
            "TOP": self.setup.top, "STAGE": self.setup.stage, "BUILD": self.setup.build,
            "PYTHONDONTWRITEBYTECODE": "1",
        } | ({"CRS_TESTS_SLOW": "1"} if self.patience > 1 else {}) \
            | ({"CRS_KEY_FILE": self.setup.key_file} if self.setup.key_file else {})

    def popen_kwargs(self):
        return {"cwd": self.dir, "env": self.environment()} | \
            machine.setpriv_kwargs(self.uid, self.gid)

    def mkdir(self, name):
        path = self.path(name)
        os.mkdir(path, 0o755)
        os.chown(path, self.uid, self.gid)
        return path

    def create(self, name):
        """An empty file of the user's, unless it is there."""
        path = self.path(name)
        if not os.path.exists(path):
            with open(path, "xb") as file:
                os.fchown(file.fileno(), self.uid, self.gid)
        return path

    # ---- running things ----

    def run(self, *command, timeout=60, stdin=subprocess.DEVNULL):
        """Run to the end; (exit code, stdout, stderr). Remembered for the failure's output."""
        command = [str(part) for part in command]
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, errors="replace",
                                   start_new_session=True, **self.popen_kwargs())
        try:
            out, err = self.communicate(process, timeout * self.patience)
        except subprocess.TimeoutExpired:
            where = machine.describe(process.pid)
            process.send_signal(signal.SIGKILL)
            out, err = process.communicate()
            self.note(command, f"killed after {timeout * self.patience} s\n{where}", out, err)
            raise Failure(f"{command[0]} did not end in {timeout * self.patience} s") from None
        self.note(command, f"exit code {process.returncode}", out, err)
        if "Sanitizer" in err or "runtime error:" in err:
            raise Failure("a sanitizer reported an error")
        return process.returncode, out, err

    def communicate(self, process, limit):
        """To the end of the output. What a failed command has left running in its session keeps that
        open: it is ended."""
        end = time.monotonic() + limit
        while True:
            try:
                return process.communicate(timeout=min(1, max(0, end - time.monotonic())))
            except subprocess.TimeoutExpired:
                if time.monotonic() >= end:
                    raise
            if process.poll():
                machine.kill_session(process.pid)

    def note(self, command, ended, out="", err=""):
        self.log.append(f"$ {' '.join(command)}\n{out}{err}[{ended}]")

    def start(self, *command, stdout="stdout", stderr="stderr"):
        """Start a program with its output in files of the case's directory."""
        command = [str(part) for part in command]
        with open(self.create(stdout), "ab") as out, open(self.create(stderr), "ab") as err:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       start_new_session=True, **self.popen_kwargs())
        self.started.append(process)
        self.note(command, f"started as PID {process.pid}")
        return process

    def crs(self, *arguments, code=0, timeout=60):
        """Run the tool; its stdout. Any other exit code than `code` is a failure."""
        got, out, err = self.run(self.setup.crs, *arguments, timeout=timeout)
        expect(got == code, f"crs {arguments[0]}: exit code {got}, expected {code}: {err.strip()}")
        self.last_stderr = err
        return out

    # ---- processes ----

    def wait_gone(self, pid, seconds=10):
        """Wait until the process is gone; its wait status if it was ours to reap, else None."""
        codes = {}
        mine = next((p for p in self.started if p.pid == pid and p.returncode is None), None)

        def gone():
            if mine:
                codes.setdefault(pid, mine.poll())
                if codes[pid] is None:
                    del codes[pid]
                return pid in codes
            try:
                done, code = os.waitpid(pid, os.WNOHANG)
                if done:
                    codes[pid] = os.waitstatus_to_exitcode(code)
            except ChildProcessError:
                pass
            return pid in codes or machine.stat_fields(pid) is None

        if not machine.wait_for(gone, seconds * self.patience):
            raise Failure(f"process {pid} is still there:\n{machine.describe(pid)}")
        return codes.get(pid)

    def expect_running(self, pid, what):
        """It runs, is not stopped and nobody holds it."""
        def held():
            for tid in machine.listdir(f"/proc/{pid}/task"):
                fields = machine.status(f"{pid}/task/{tid}")
                if fields.get("State", "?")[0] in "tT" or fields.get("TracerPid", "0") != "0":
                    return True
            return False

        machine.wait_for(lambda: not held(), 2 * self.patience)
        if not machine.alive(pid):
            raise Failure(f"{what}: process {pid} is gone")
        if held():
            raise Failure(f"{what}: process {pid} is still stopped or held:\n"
                          f"{machine.describe(pid)}")

    def expect_free(self, pid, tree, what):
        """Nobody holds it who isn't of its own tree."""
        def held():
            return any(int(machine.status(f"{pid}/task/{tid}").get("TracerPid", "0"))
                       not in (0, *tree) for tid in machine.listdir(f"/proc/{pid}/task"))

        machine.wait_for(lambda: not held(), 2 * self.patience)
        if held():
            raise Failure(f"{what}: process {pid} is still held:\n{machine.describe(pid)}")

    def expect_alone(self, strangers, what):
        """Nothing lives on but what was started here, and what was there before; PIDs of orphans
        are free again."""
        own = {process.pid for process in self.started}

        def others():
            living = [pid for pid in machine.descendants() if pid not in own | strangers]
            machine.reap_all_but(own)
            return living

        if not machine.wait_for(lambda: not others(), 10 * self.patience):
            raise Failure(f"{what} there are still " +
                          ", ".join(f"{pid} ({machine.command(pid)})" for pid in others()))

    def tail(self, name, size=4000):
        text = machine.read(self.path(name)) or ""
        return f"--- {name}:\n{text[-size:]}" if text else ""

    def finish(self):
        """End what is still there; its words are the case's failure if it passed otherwise."""
        machine.reap_started(self.started)
        # what is about to end by itself (a supervisor whose program just ended) may do so
        machine.wait_for(lambda: not self._living(), 2 * self.patience, 0.01)
        return machine.kill_descendants()

    def _living(self):
        machine.reap_started(self.started)
        return machine.descendants()

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)
