"""Victims and programs as jobs in namespaces of their own, as a user has them: started by
`crs run --isolate`, checkpointed by the job's name, restarted from the store."""
import json
import os
import signal
import zlib

from . import machine
from .cases import Case, Failure, Skip, expect
from .programs import Show
from .victims import Play, staged

# All namespaces that there are, so that nothing leans on those of the outside; and those of
# `--isolate` without a list.
OPTIONS = {"all": ("--isolate=ipc,net,time", {"user", "pid", "mnt", "ipc", "net", "time"}),
           "usual": ("--isolate", {"user", "pid", "mnt", "ipc", "time"})}
JOB = "victim"


def job_pid(env):
    text = machine.read(os.path.join(env.store, JOB, "job.json"))
    expect(text, "the job has no file in the store")
    return json.loads(text)["program"]["pid"]


class IsolatedPlay(Play):
    """A victim that is the job JOB."""

    def __init__(self, env, victim, which):
        super().__init__(env, victim)
        self.option, self.namespaces = OPTIONS[which]

    def launch(self, *command):
        self.foreground = self.env.start(self.env.setup.crs, "run", self.option, "--name", JOB,
                                         "--", *command)
        return self.foreground

    def program(self):
        pid = job_pid(self.env)
        self.expect_apart(pid)
        return pid


    def expect_apart(self, pid):
        """It lives in namespaces of its own, all of them, as PID 2."""
        apart = {name for name in OPTIONS["all"][1]
                 if self.namespace(pid, name) != self.namespace("self", name)}
        expect(apart == self.namespaces, f"process {pid} has namespaces of its own: {apart}, "
               f"expected {self.namespaces}")
        inner = machine.status(pid).get("NSpid", "").split()
        expect(inner[1:] == ["2"], f"its PIDs are {inner}, expected 2 as the inner one")

    @staticmethod
    def namespace(pid, name):
        """Of any thread: a first thread that has exited has none any more."""
        tids = sorted(machine.listdir(f"/proc/{pid}/task"), key=int)
        try:
            return os.readlink(f"/proc/{pid}/task/{tids[-1]}/ns/{name}")
        except OSError as error:
            raise Failure(f"can't read the {name} namespace of {pid}: {error}") from None

    def checkpoint(self, terminate=False):
        self.snapshots += 1
        path = os.path.join(self.env.store, JOB, str(self.snapshots))
        extra = self.victim.options + (["--terminate"] if terminate else [])
        self.env.crs(*self.env.setup.checkpoint, *extra, JOB, timeout=self.tool_s)
        expect(os.path.exists(os.path.join(path, "manifest.json")), f"{path} has no manifest")
        if not terminate:
            self.expect_running("after the checkpoint")
            return path
        self.env.wait_gone(self.pid, self.gone_s)
        self.end_foreground(killed=True)
        self.env.expect_alone(set(), "after --terminate")
        return path

    def restart_job(self, foreground):
        """As a user does: by the job's name, from the newest snapshot, no policy given."""
        self.restart(JOB, None, foreground)
        expect(self.pid == job_pid(self.env), "the PID of the job is not that of --pid-file")
        self.expect_apart(self.pid)


def cases(setup, victim):
    """One for each victim; with --full one more, on the network of the outside."""
    found = []
    saved = victim.header.get("isolated", "" if victim.refused else "saved").startswith("saved")
    for which in ("all", "usual") if setup.options.full else ("all",):
        base = f"victims/{victim.name}/isolated"
        name = f"{base}/" + ("restart" if saved else "refused") + \
            ("" if which == "all" else f"-{which}")
        foreground = zlib.crc32(base.encode()) % 2 == 0
        run = restarted(victim, which, foreground) if saved else refused(victim, which)
        found.append(Case(name, staged(setup, victim, possible(run)), "user"))
    return found


def possible(run):
    def wrapped(env):
        reason = machine.user_namespaces_work(env.uid, env.gid)
        if reason:
            raise Skip(reason)
        run(env)
    return wrapped


def restarted(victim, which, foreground):
    def run(env):
        play = IsolatedPlay(env, victim, which)
        play.start()
        play.checkpoint()
        play.ask("continue")
        path = play.checkpoint(terminate=True)
        env.crs("verify", path)
        play.restart_job(foreground)
        play.ask("namespace")
        play.checkpoint()
        play.ask("continue")
        play.checkpoint(terminate=True)
        play.restart_job(not foreground)
        play.ask("namespace")
        play.stop()
    return run


def refused(victim, which):
    """Unharmed by both ways of saving it, and no snapshot in the store."""
    words = victim.header.get("isolated") or victim.refused

    def run(env):
        play = IsolatedPlay(env, victim, which)
        play.start()
        for options in ([], ["--terminate"]):
            env.crs(*env.setup.checkpoint, *options, JOB, code=5)
            expect(words in env.last_stderr,
                   f"the refusal does not say {words!r}: {env.last_stderr.strip()}")
            found = [name for name in os.listdir(os.path.join(env.store, JOB)) if name.isdigit()]
            expect(not found, "a refused checkpoint left a snapshot")
            play.expect_running("after the refusal")
            play.ask("continue")
        play.stop()
    return run


# ---- programs ----

class IsolatedShow(Show):
    """A program that is the job JOB; what stands for it is always a crs in the foreground."""

    def command(self):
        return [self.env.setup.crs, "run", OPTIONS["all"][0], "--name", JOB, "--",
                *super().command()]

    def begin(self):
        self.start()
        job = os.path.join(self.env.store, JOB, "job.json")
        machine.wait_for(lambda: os.path.exists(job) or self.process.poll() is not None,
                         10 * self.env.patience)
        self.pid = job_pid(self.env)
        self.wait_progress(self.program.progress)

    def restart_job(self, before, cycle):
        env, pid_file = self.env, self.env.path(f"pid.{cycle}")
        env.crs(*env.setup.checkpoint, "--terminate", JOB)
        code = env.wait_gone(before.pid)
        expect(code == -signal.SIGKILL, f"after --terminate its crs ended with {code}")
        env.expect_alone(set(), "after --terminate")
        restart = env.start(env.setup.crs, *env.setup.restart, "--pid-file", pid_file, JOB,
                            stdout="stdout.restart", stderr="stderr.restart")
        machine.wait_for(lambda: machine.read(pid_file) or restart.poll() is not None,
                         30 * env.patience)
        self.pid = int(machine.read(pid_file) or 0) or restart.pid
        return restart


def program_case(program):
    def run(env):
        show = IsolatedShow(env, program)
        show.begin()
        env.crs(*env.setup.checkpoint, JOB)
        env.expect_running(show.pid, "after the checkpoint")
        process = show.process
        for cycle in range(2):
            show.wait_progress(show.lines() + 1)
            process = show.restart_job(process, cycle)
            if "until" in program.header:
                show.wait_progress(show.lines() + 1)
        show.end(process, "restarted as an isolated job")
    return Case(f"programs/{program.name}/isolated/restart", possible(run), "user")
