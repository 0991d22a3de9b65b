"""tests/run: options, finding the cases, running them in workers, the report."""
import argparse
import json
import os
import re
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback

from . import (bench, build, examples, kill, kill_requests, kill_supervisor, kill_tree, libcr,
               machine, modes, openpal, programs, proofs, scale, scripts, victims)
from .cases import Failure, Skip
from .env import Env, Setup
from .tally import Tally

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CHANCES = 3
PARTS = ("unit", "lint", "cli", "libcr", "openpal", "victims", "programs", "kill", "scale",
         "examples", "bench")
MODES = "modes"  # only when it is asked for


def parse():
    p = argparse.ArgumentParser(
        prog="tests/run", description="Run OpenCRS's tests and print a line for each failure.",
        epilog="Examples: tests/run --filter victims/eventfd -v; tests/run --part unit,lint; "
               "sudo tests/run (adds the half that needs root)")
    p.add_argument("--build", default=os.path.join(TOP, "build"), help="the build directory")
    p.add_argument("--part", default=",".join(PARTS),
                   help=f"some of {','.join(PARTS)}, or {MODES}: victims and programs once in each "
                        "mode that --freeze, --increments, --compress, --encrypt and --lazy force")
    p.add_argument("--filter", default="", metavar="REGEX", help="only cases with such a name")
    p.add_argument("-j", type=int, default=2, metavar="N", help="cases at the same time")
    p.add_argument("--full", action="store_true", help="the full counts of the long cases")
    p.add_argument("--slow", action="store_true", help="the tool is instrumented: be patient")
    p.add_argument("--freeze", metavar="HOW", choices=["auto", "stop", "live", "fork"],
                   help="checkpoints of victims, programs and kill tests are made with this")
    p.add_argument("--increments", action="store_true",
                   help="checkpoints of victims are made twice, under one name: the second shares "
                        "with the first, which is removed then; those of a program each share with "
                        "the one before")
    p.add_argument("--compress", metavar="CODEC",
                   help="the same with this: auto, none, lz4, zstd, zstd:LEVEL")
    p.add_argument("--lazy", action="store_true",
                   help="victims and programs are restarted on demand (crs restart --lazy)")
    p.add_argument("--encrypt", action="store_true",
                   help="all snapshots of crs are encrypted (CRS_KEY_FILE)")
    p.add_argument("--keep", action="store_true", help="keep the directories of failed cases")
    p.add_argument("--require-all", action="store_true",
                   help="a program that isn't installed is a failure, not a skip")
    p.add_argument("--second-chance", action="store_true",
                   help=f"up to {CHANCES} cases that fail are run once more, alone at the end; "
                        "those that pass then are told as unsteady")
    p.add_argument("-v", action="store_true", dest="verbose", help="a line for each case")
    p.add_argument("--list", action="store_true", help="list the cases, run nothing")
    options = p.parse_args()
    options.build = os.path.abspath(options.build)
    unknown = set(options.part.split(",")) - {*PARTS, MODES}
    if unknown:
        p.error(f"no such part: {', '.join(sorted(unknown))}")
    return options


def find(setup, parts):
    makers = {
        "unit": scripts.unit_cases, "lint": scripts.lint_cases, "cli": scripts.cli_cases,
        "libcr": lambda s: libcr.cases(s) + proofs.cases(s),
        "openpal": openpal.cases, "victims": victims.cases, "programs": programs.cases,
        "kill": lambda s: kill.cases(s) + kill_tree.cases(s) + kill_requests.cases(s) +
        kill_supervisor.cases(s),
        "scale": scale.cases, "examples": examples.cases, "bench": bench.cases,
        MODES: modes.cases,
    }
    found = []
    for part in (*PARTS, MODES):
        if part in parts:
            found += makers[part](setup)
    return found


# ---- one case, in a worker process ----

def run_case(setup, case, directory):
    """Runs in the worker. Returns [verdict, words]."""
    machine.become_subreaper()
    machine.own_network()
    env = Env(case.setup or setup, case, directory)
    verdict, words = "passed", ""
    try:
        if case.user == "root" and os.geteuid() != 0:
            raise Skip("needs root")
        case.run(env)
    except Skip as skip:
        verdict, words = "skipped", str(skip)
    except Failure as failure:
        verdict, words = "failed", str(failure)
    except Exception:  # a fault of the test itself is a failure, with its place
        verdict, words = "failed", traceback.format_exc()
    left = env.finish() if verdict == "passed" else machine.kill_descendants() and []
    if left:
        verdict, words = "failed", "left behind: " + "; ".join(left)
    if verdict == "failed":
        output = [env.tail(name) for name in sorted(os.listdir(directory))
                  if name.startswith(("stdout", "stderr", "result."))]
        words += "\n" + "\n".join(env.log + [text for text in output if text])
    return [verdict, words]


class Worker:
    def __init__(self, setup, case, base, number):
        self.case = case
        self.directory = os.path.join(base, f"case-{number}")
        self.begun = time.monotonic()
        self.limit = case.timeout * setup.patience
        os.mkdir(self.directory)
        self.read_fd, write_fd = os.pipe()
        self.data = b""
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.read_fd)
            self._child(setup, write_fd)
        os.close(write_fd)

    def _child(self, setup, write_fd):
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            answer = run_case(setup, self.case, self.directory)
            with os.fdopen(write_fd, "wb") as pipe:
                pipe.write(json.dumps(answer).encode())
            code = 0
        finally:
            os._exit(code)

    def result(self, timed_out=False):
        """Once its pipe is at its end, or the time is up."""
        if timed_out:
            held = machine.descendants(self.pid)
            states = "\n".join(f"{pid}: {machine.command(pid)}\n{machine.describe(pid)}"
                               for pid in held)
            os.kill(self.pid, signal.SIGKILL)
            for pid in held:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        os.close(self.read_fd)
        os.waitpid(self.pid, 0)
        if timed_out:
            return ["failed", f"still running after {self.limit} s:\n{states}"]
        try:
            return json.loads(self.data)
        except ValueError:
            return ["failed", "the worker died"]


class Run:
    """All cases: some at a time, those that measure the machine alone at the end."""

    def __init__(self, setup, base, cases):
        self.setup, self.base = setup, base
        self.tally = Tally(cases)
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.reasons = {}
        self.failed = []  # cases
        self.unsteady = []
        self.workers = {}
        self.number = 0

    def all(self, cases):
        for case in [c for c in cases if not c.alone]:
            while len(self.workers) >= self.setup.options.j:
                self.step()
            self.begin(case)
        self.drain()
        for case in [c for c in cases if c.alone]:
            self.begin(case)
            self.drain()
        if self.setup.options.second_chance and len(self.failed) <= CHANCES:
            self.again()

    def again(self):
        """A machine that is busy with others fails a test now and then; a fault of ours that shows
        now and then is told, and must be looked for."""
        before, self.failed = self.failed, []
        self.counts["failed"] -= len(before)
        for case in before:
            self.begin(case)
            self.drain()
        self.unsteady = [case for case in before if case not in self.failed]

    def begin(self, case):
        self.number += 1
        worker = Worker(self.setup, case, self.base, self.number)
        self.workers[worker.read_fd] = worker

    def drain(self):
        while self.workers:
            self.step()

    def step(self):
        ready, _, _ = select.select(list(self.workers), [], [], 0.5)
        for fd in ready:
            data = os.read(fd, 65536)
            if data:
                self.workers[fd].data += data
            else:
                self.end(self.workers.pop(fd))
        for fd, worker in list(self.workers.items()):
            if time.monotonic() - worker.begun > worker.limit:
                self.end(self.workers.pop(fd), timed_out=True)
        machine.reap_all_but({worker.pid for worker in self.workers.values()})

    def end(self, worker, timed_out=False):
        verdict, words = worker.result(timed_out)
        seconds = time.monotonic() - worker.begun
        self.counts[verdict] += 1
        self.tally.add(worker.case, verdict, words)
        if verdict == "skipped":
            self.reasons.setdefault(words, []).append(worker.case.name)
        if verdict == "failed":
            self.failed.append(worker.case)
            text = "\n    ".join(words.rstrip().splitlines())
            print(f"FAILED {worker.case.name}\n    {text}", flush=True)
        elif self.setup.options.verbose:
            print(f"{verdict} {worker.case.name} ({seconds:.1f} s)"
                  + (f": {words}" if words else ""), flush=True)
        if verdict == "failed" and self.setup.options.keep:
            print(f"    kept: {worker.directory}", flush=True)
        else:
            shutil.rmtree(worker.directory, ignore_errors=True)

    def report(self):
        for reason, names in sorted(self.reasons.items()):
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            print(f"skipped {len(names)}: {reason} ({shown})")
        if self.unsteady:
            print("unsteady, failed and then passed alone: " +
                  ", ".join(case.name for case in self.unsteady))
        if self.failed:
            print("failed: " + ", ".join(case.name for case in self.failed))
        for line in self.tally.lines():
            print(line)
        counts = self.counts
        tail = f", {counts['skipped']} skipped" if counts["skipped"] else ""
        print(f"{counts['passed']} passed, {counts['failed']} failed{tail}", flush=True)


def left_behind(before, base):
    """Files, mounts and shared memory that were not there before the run."""
    after = machine.places()
    own = os.path.basename(base)
    return [f"{place}: {name}" for place in before for name in sorted(after[place] - before[place])
            if name != own and ours(place, name)]


def ours(place, name):
    """/tmp is everybody's: what counts there is what the tests' own user owns."""
    try:
        return place == "mounts" or os.lstat(os.path.join(place, name)).st_uid in ours.uids
    except OSError:
        return False


ours.uids = set()


def usual_signals():
    """What the caller (nohup, a CI system) made of signals is no business of the programs here."""
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN and number != signal.SIGPIPE:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def main():
    options = parse()
    usual_signals()
    sys.stdout.reconfigure(line_buffering=True)
    machine.become_subreaper()
    os.umask(0o022)
    before = machine.places()
    base = tempfile.mkdtemp(prefix="crs-tests.")
    os.chmod(base, 0o755)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        setup = Setup(TOP, options.build, os.path.join(base, "stage"), options)
        os.mkdir(setup.stage, 0o755)
        setup.make_key()
        ours.uids = {setup.user_uid} - {0}
        cases = [case for case in find(setup, options.part.split(","))
                 if re.search(options.filter, case.name)]
        if options.list:
            print("\n".join(case.name for case in cases))
            return 0
        build.stage(setup, cases)
        run = Run(setup, base, cases)
        run.all(cases)
        left = left_behind(before, base)
        if left:
            run.counts["failed"] += 1
            print("FAILED nothing-left-behind\n    " + "\n    ".join(left))
        run.report()
        return 1 if run.counts["failed"] or not run.counts["passed"] else 0
    except build.BuildError as error:
        print(f"tests/run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        machine.kill_descendants()
        if os.geteuid() == 0:  # the user was made for this run
            for uid in ours.uids:
                machine.remove_sysv(uid)
        if not (options.keep and os.path.isdir(base) and
                any(name.startswith("case-") for name in os.listdir(base))):
            shutil.rmtree(base, ignore_errors=True)
