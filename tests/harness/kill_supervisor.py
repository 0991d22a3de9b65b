"""The supervisor of a job is killed, at any moment of a checkpoint and between two: the job lives on
unharmed, or was saved and ended as it was asked to be, and can be saved and restarted again."""
import os
import signal
import subprocess
import time

from . import kill, machine
from .cases import Case, Failure, expect
from .isolated import JOB, job_pid
from .victims import Play

KILLS = {False: 12, True: 60}


class Job(Play):
    """The target as the job JOB; what is in the foreground is its supervisor."""

    def launch(self, *command):
        self.foreground = self.env.start(self.env.setup.crs, "run", "--name", JOB, "--", *command)
        return self.foreground

    def program(self):
        return job_pid(self.env)

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
    machine.wait_for(lambda: machine.descendants() == [play.pid], 15 * env.patience, 0.02)
    expect(machine.descendants() == [play.pid], f"{what}: there are other processes now: " +
           ", ".join(machine.command(p) for p in machine.descendants() if p != play.pid))
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
        env.crs(*env.setup.checkpoint, "--terminate", "--name", JOB, play.pid)
    else:
        expect(options, f"{what}: the program died")
    env.wait_gone(play.pid)
    for seq in snapshots(env):
        env.crs("verify", f"{JOB}@{seq}")
    for seq in snapshots(env)[:-1]:
        env.crs("remove", f"{JOB}@{seq}")
    play.restart(JOB, policy, True)
    play.before = kill.picture(play.pid)
    play.ask(policy)


def killed(victim, full, policy):
    def run(env):
        play = kill.begin(env, victim, Job)
        play.before = kill.picture(play.pid)  # not marked for a supervisor yet
        begun = time.monotonic()
        env.crs(*env.setup.checkpoint, JOB)
        moments = kill.Moments(env, time.monotonic() - begun, KILLS[full])
        for number in moments:
            one_life(env, play, number, moments, policy)
        play.stop()
    return run


def cases(setup):
    victim, full = kill.target(setup), setup.options.full
    return [Case(f"kill/supervisor-killed-{KILLS[full]}-times/{user}", killed(victim, full, policy),
                 user, 900, alone=True) for user, policy in (("root", "same"), ("user", "new"))]
