#!/usr/bin/python3
"""Yama's ptrace_scope 1, 2 and 3: what works, and what is refused in words.

    yama.py [--slow] STAGE DIRECTORY     as root; the tool is in STAGE, files go to DIRECTORY

It sets kernel.yama.ptrace_scope, and 3 can't be taken back: only in a virtual machine that ends
after it. A line for each case, and the exit code, say how it went.
"""
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import across  # noqa: E402
from harness import env as environments  # noqa: E402
from harness import machine  # noqa: E402
from harness.cases import Case, expect  # noqa: E402

SCOPE = "/proc/sys/kernel/yama/ptrace_scope"
COUNTER = """
import os, sys, time
with open("count", "a", buffering=1) as f:
    while not os.path.exists("end"):
        f.write("on\\n")
        time.sleep(0.02)
sys.exit(7)
"""
POLICY = "the kernel's policy (yama ptrace_scope {})"


class Place:
    """One user's directory with a program that counts in it; the tool is run as that user."""

    def __init__(self, setup, directory, user):
        path = os.path.join(directory, f"yama-{user}")
        os.makedirs(path, exist_ok=True)
        self.env = environments.Env(setup, Case(f"yama/{user}", None, user), path)
        self.user = user

    def counted(self):
        return (machine.read(self.env.path("count")) or "").count("\n")

    def goes_on(self, what):
        before = self.counted()
        expect(machine.wait_for(lambda: self.counted() > before + 1, 20 * self.env.patience),
               f"{what}: the program doesn't go on")

    def start(self, *prefix):
        process = self.env.start(*prefix, "python3", "-c", COUNTER)
        self.goes_on("started")
        return process

    def job(self, name):
        return self.start(self.env.setup.crs, "run", "--name", name, "--")

    def refused(self, scope, *arguments, words=()):
        """Exit code 4, with these words; nothing is left in the way of the program."""
        self.env.crs(*arguments, code=4)
        for word in (POLICY.format(scope), *words):
            expect(word in self.env.last_stderr,
                   f"the refusal does not say {word!r}: {self.env.last_stderr.strip()}")

    def end(self, process, code=7):
        """The program ends by itself, and what stands for it with it."""
        with open(self.env.path("end"), "w", encoding="ascii"):
            pass
        expect(machine.wait_for(lambda: process.poll() is not None, 20 * self.env.patience),
               "it does not end:\n" + machine.describe(process.pid))
        os.unlink(self.env.path("end"))
        expect(process.returncode == code, f"it ended with {process.returncode}, not {code}")

    def restart(self, snapshot, *options):
        """In the foreground; once the program goes on."""
        before = self.counted()
        process = self.env.start(self.env.setup.crs, "restart", *options, snapshot,
                                 stderr="stderr.restart")
        machine.wait_for(lambda: self.counted() > before or process.poll() is not None,
                         30 * self.env.patience)
        expect(process.poll() is None, f"crs restart ended with {process.returncode}: "
               + self.env.tail("stderr.restart"))
        self.goes_on("restarted")
        return process


def stranger_refused(place, scope, *words):
    """No job, and no descendant of the tool."""
    process = place.start()
    output = place.env.path("refused")
    place.refused(scope, "checkpoint", "--output", output, process.pid, words=words)
    expect(not os.path.exists(output), "a refused checkpoint left a snapshot")
    place.env.expect_running(process.pid, "after the refusal")
    place.goes_on("after the refusal")
    place.end(process)


def stranger_held(place):
    process = place.start()
    place.env.crs("checkpoint", "--output", place.env.path(f"stranger-{process.pid}"), process.pid)
    place.goes_on("after the checkpoint")
    place.end(process)


def job_refused(place, scope, *words):
    run = place.job("refused")
    place.refused(scope, "checkpoint", "refused", words=words)
    place.goes_on("after the refusal")
    place.end(run)


def job_held(place):
    """Leaves the snapshot `kept@1`."""
    run = place.job("kept")
    place.env.crs("checkpoint", "kept")
    place.goes_on("after the checkpoint")
    place.env.crs("checkpoint", "--terminate", "--name", "other", "kept")
    machine.wait_for(lambda: run.poll() is not None, 20 * place.env.patience)
    expect(run.poll() == -signal.SIGKILL, f"crs run ended with {run.returncode}")


def restarted(place, *options):
    """Restarted under a supervisor, checkpointed by its name, restarted again."""
    process = place.restart("kept@1", *options, "--name", "again")
    place.env.crs("checkpoint", "again")
    place.goes_on("after the checkpoint")
    place.env.crs("checkpoint", "--terminate", "again")
    machine.wait_for(lambda: process.poll() is not None, 20 * place.env.patience)
    place.end(place.restart("again@latest", *options))


def detached(place, policy, held):
    """Without a supervisor that is its ancestor. The owner of its user namespace may hold it."""
    pid = int(place.env.crs("restart", "--detach", f"--pids={policy}", "--name", "alone", "kept@1"))
    place.goes_on("restarted")
    if held:
        place.env.crs("checkpoint", "--output", place.env.path(f"alone-{pid}"), "alone")
    else:
        place.refused(1, "checkpoint", "alone", words=["without --detach"])
    place.goes_on("after it")
    with open(place.env.path("end"), "w", encoding="ascii"):
        pass
    place.env.wait_gone(pid)
    os.unlink(place.env.path("end"))


def cooperating(place):
    """A program with BLCR's library lets itself be held: by cr_checkpoint, which is no ancestor, and
    by what makes the checkpoint that it asks for itself; after a restart again."""
    env, bin_directory = place.env, os.path.join(place.env.setup.stage, "bin")

    def tool(name, *arguments):
        code, _, err = env.run(os.path.join(bin_directory, name), *arguments)
        expect(code == 0, f"{name}: exit code {code}: {err}")
    process = env.start(os.path.join(bin_directory, "requester"))
    saves_itself(env, "started")
    tool("cr_checkpoint", "-f", "held", "--term", process.pid)
    env.wait_gone(process.pid)
    for options in ([], ["--no-restore-pid"]):
        restarted = env.start(os.path.join(bin_directory, "cr_restart"), *options, "held")
        saves_itself(env, f"restarted with {options}")
        tool("cr_checkpoint", "-f", "again", restarted.pid)
        os.unlink(env.path("again"))
        env.create("end")
        expect(env.wait_gone(restarted.pid, 30) == 7, "it doesn't end well")
        os.unlink(env.path("end"))
    os.unlink(env.path("held"))


def saves_itself(env, what):
    env.create("ask")
    expect(machine.wait_for(lambda: os.path.exists(env.path("asked")), 30 * env.patience),
           f"{what}: it doesn't ask")
    expect(machine.wait_for(lambda: machine.read(env.path("asked")), 30), f"{what}: no answer")
    said = machine.read(env.path("asked")).strip()
    expect(said == "0", f"{what}: its own request ends with {said}")
    os.unlink(env.path("asked"))


def restart_refused(place, scope, policy, *words):
    before = place.counted()
    place.refused(scope, "restart", "--detach", f"--pids={policy}", "kept@1", words=words)
    expect(place.counted() == before and not machine.descendants(), "something was started")


def cases(scope, user, root):
    """(what, function) of a scope: each does what it says, or is refused as it says."""
    if scope == 1:
        return [
            ("stranger/user", lambda: stranger_refused(user, 1, "only an ancestor", "'crs run'")),
            ("stranger/root", lambda: stranger_held(root)),
            ("job/user", lambda: job_held(user)),
            ("job/root", lambda: job_held(root)),
            ("restart-new/user", lambda: restarted(user, "--pids=new")),
            ("restart-namespace/user", lambda: restarted(user, "--pids=namespace")),
            ("restart/user", lambda: restarted(user)),
            ("detached-new/user", lambda: detached(user, "new", False)),
            ("detached-namespace/user", lambda: detached(user, "namespace", True)),
            ("detached-new/root", lambda: detached(root, "new", True)),
            ("cooperating/user", lambda: cooperating(user)),
            ("cooperating/root", lambda: cooperating(root)),
        ]
    if scope == 2:
        return [
            ("stranger/user", lambda: stranger_refused(user, 2, "CAP_SYS_PTRACE", "as root")),
            ("stranger/root", lambda: stranger_held(root)),
            ("job/user", lambda: job_refused(user, 2, "CAP_SYS_PTRACE", "ptrace_scope=1")),
            ("restart-new/user", lambda: restart_refused(user, 2, "new", "--pids=namespace")),
            ("restart/user", lambda: restarted(user)),
            ("detached-namespace/user", lambda: detached(user, "namespace", True)),
            ("restart/root", lambda: restarted(root)),
        ]
    found = []
    for place in (user, root):
        found += [(f"stranger/{place.user}", lambda p=place: stranger_refused(p, 3, "nobody")),
                  (f"job/{place.user}", lambda p=place: job_refused(p, 3, "nobody")),
                  (f"restart-new/{place.user}", lambda p=place: restart_refused(p, 3, "new")),
                  (f"restart-namespace/{place.user}",
                   lambda p=place: restart_refused(p, 3, "namespace"))]
    return found


def main():
    machine.become_subreaper()
    sys.stdout.reconfigure(line_buffering=True)
    stage, directory = sys.argv[-2:]
    setup = across.make_setup(stage, sys.argv[1] == "--slow")
    os.makedirs(directory, exist_ok=True)
    user, root = (Place(setup, directory, name) for name in ("user", "root"))
    failed = 0
    for scope in (1, 2, 3):
        with open(SCOPE, "w", encoding="ascii") as file:
            file.write(f"{scope}\n")
        for what, function in cases(scope, user, root):
            if across.report(f"yama/{scope}/{what}", function):
                failed += 1
                print("\n".join((user if what.endswith("user") else root).env.log[-3:]))
                forget_end(user, root)
    return min(failed, 1)


def forget_end(*places):
    """After a failure, which ended all programs."""
    for place in places:
        if os.path.exists(place.env.path("end")):
            os.unlink(place.env.path("end"))


if __name__ == "__main__":
    sys.exit(main())
