"""The supervisor of a job is killed, at any moment of a checkpoint and between two: the job lives on
unharmed, or was saved and ended as it was asked to be, and can be saved and restarted again."""
import os
import signal
import subprocess
import time

from . import kill, machine
from .cases import Case, Failure, expect
from .isolated import JOB, job_pid, possible
from .victims import Play

KILLS = {False: 12, True: 60}


class Job(Play):
    """The target as the job JOB; what is in the foreground is its supervisor."""

    options = ()

    def launch(self, *command):
        self.foreground = self.env.start(self.env.setup.crs, "run", *self.options, "--name", JOB,
                                         "--", *command)
        return self.foreground

    def program(self):
        return job_pid(self.env)

    def look_at(self):
        """Before it is marked for a supervisor."""
        self.before = kill.picture(self.pid)
        self.around = set(machine.descendants()) - {self.foreground.pid}

    def lives(self, what):
        """It answers, unless it was ended."""
        try:
            self.ask("continue")
        except Failure as failure:
            if machine.alive(self.pid):
                raise Failure(f"{what}: {failure}") from None
            return False
        return True


def kill_supervisor(env, play, options, moments):
    """Whether the checkpoint was done before, and how to tell it."""
    client = subprocess.Popen([env.setup.crs, *env.setup.checkpoint, *options, JOB],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, **env.popen_kwargs())
    delay = moments.next()
    time.sleep(delay)
    try:
        kill.kill_outside_of_interruption(play.foreground.pid)
    except ProcessLookupError:  # it has ended with its program
        pass
    play.foreground.wait()
    play.foreground = None
    code = client.wait()
    moments.learn(code != 0)
    return code == 0, f"supervisor killed {delay * 1000:.2f} ms after crs checkpoint " \
        f"{' '.join(options)}, which ended with {code}"


def expect_unharmed(env, play, what):
    held = not machine.wait_for(lambda: kill.let_go(play.pid), 5 * env.patience, 0.001)
    expect(not held, f"{what}: a thread is still held or stopped:\n{machine.describe(play.pid)}")
    def others():
        return set(machine.descendants()) - play.around

    machine.wait_for(lambda: not others(), 15 * env.patience, 0.02)
    expect(not others(), f"{what}: there are other processes now: " +
           ", ".join(map(machine.command, others())))
    kill.compare(env, play.before, play.pid, what)


def snapshots(env):
    return sorted(int(name) for name in os.listdir(os.path.join(env.store, JOB)) if name.isdigit())


def one_life(env, play, number, moments, policy):
    """From one supervisor to the next."""
    for _ in range(number % 3):  # so that it holds what it knows of the memory, or doesn't yet
        env.crs(*env.setup.checkpoint, JOB)
    options = ["--terminate"] if number % 4 == 3 else []
    done, what = kill_supervisor(env, play, options, moments)
    if play.lives(what):
        expect(not (done and options), f"{what}: it lives on")
        expect_unharmed(env, play, what)
        env.crs(*env.setup.checkpoint, "--terminate", JOB)
    else:
        expect(options, f"{what}: the program died")
    env.wait_gone(play.pid)
    for seq in snapshots(env):
        env.crs("verify", f"{JOB}@{seq}")
    for seq in snapshots(env)[:-1]:
        env.crs("remove", f"{JOB}@{seq}")
    play.restart(JOB, policy, True)
    play.look_at()
    play.ask(policy)


class IsolatedJob(Job):
    """PID 1 of its namespace stays with it."""

    options = ("--isolate",)


def killed(victim, full, kind, policy):
    def run(env):
        play = kill.begin(env, victim, kind)
        play.look_at()
        begun = time.monotonic()
        env.crs(*env.setup.checkpoint, JOB)
        moments = kill.Moments(env, time.monotonic() - begun, KILLS[full])
        for number in moments:
            one_life(env, play, number, moments, policy)
        play.stop()
    return run


def cases(setup):
    victim, full = kill.target(setup), setup.options.full
    base = f"kill/supervisor-killed-{KILLS[full]}-times"
    return [Case(f"{base}/root/same", killed(victim, full, Job, "same"), "root", 900, alone=True),
            Case(f"{base}/user/new", killed(victim, full, Job, "new"), "user", 900, alone=True),
            Case(f"{base}/user/namespace", possible(killed(victim, full, IsolatedJob, "namespace")),
                 "user", 900, alone=True)]
