"""The tool is killed at any moment while it holds a tree: none of its processes must notice."""
import os
import signal
import subprocess
import time

from . import kill, machine
from .cases import Case, Failure, expect
from .victims import Play, Victim, staged

KILLS = {False: 24, True: 120}
# Most of them stay the same (in one they share memory; message queues and terminals are read by
# taking things out), one starts new processes all the time.
TARGETS = {"tree_children": True, "tree_sharing_all": True, "tree_storm": False,
           "mqueue_messages": True, "pty_input": True}
PASSES = {False: 4, True: 24}


def members(play):
    return [play.pid, *machine.descendants(play.pid)]


def gone_or_let_go(pid):
    return not machine.alive(pid) or kill.let_go(pid)


def one_kill(env, play, number, moments):
    """Kill the process that holds the tree, or every third time the command, after a random part of
    the time that it takes."""
    output = env.path(f"killed.{number}")
    tool = subprocess.Popen([env.setup.crs, *env.setup.checkpoint, "--output", output, str(play.pid)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, **env.popen_kwargs())
    delay = moments.next()
    time.sleep(delay)
    helpers = machine.descendants(tool.pid)
    # what the tracer has started itself may be there to outlive it
    tracers = [pid for pid in helpers if machine.parent(pid) == tool.pid]
    killed = [tool.pid] if number % 3 == 2 or not tracers else tracers
    for pid in killed:
        try:
            if pid == tool.pid:
                os.kill(pid, signal.SIGKILL)
            else:
                kill.kill_outside_of_interruption(pid)
        except ProcessLookupError:
            pass
    code = tool.wait()
    # without its command the helper gives up, and lets go
    machine.wait_for(lambda: not any(machine.alive(pid) for pid in helpers), 15 * env.patience)
    what = f"checkpoint {number}, {'command' if killed == [tool.pid] else 'tracer'} killed " \
        f"after {delay * 1000:.2f} ms"
    if not machine.alive(play.pid):
        raise Failure(f"{what}: the root died (wait status {play.process.poll()})")
    held = [pid for pid in members(play)
            if not machine.wait_for(lambda pid=pid: gone_or_let_go(pid), 5 * env.patience, 0.001)]
    expect(not held, f"{what}: still held or stopped:\n" + "\n".join(map(machine.describe, held)))
    if os.path.exists(output):
        env.crs("verify", output)
    moments.learn(code != 0)


def killed(victim, full, steady):
    def run(env):
        play = Play(env, victim)
        play.start()
        before = {pid: kill.picture(pid) for pid in members(play)} if steady else {}
        begun = time.monotonic()
        env.crs(*env.setup.checkpoint, "--output", env.path("whole"), play.pid)
        moments = kill.Moments(env, time.monotonic() - begun, KILLS[full])
        for number in moments:
            one_kill(env, play, number, moments)
            for pid, picture in before.items():
                kill.compare(env, picture, pid, f"kill {number}, process {pid}")
            if number % 8 == 7:
                play.ask("continue")
                before = {pid: kill.picture(pid) for pid in before}
        play.ask("continue")
        kill.leftovers(env, play)
        play.stop()
    return run


# ---- while a stream is out of its queue ----

def stop_waits(pid):
    """A SIGSTOP that takes effect when nobody holds the process any more."""
    return bool(int(machine.status(pid).get("ShdPnd", "0"), 16) >> (signal.SIGSTOP - 1) & 1)


def first_child(pid):
    """At once: a look at all processes of the machine may take longer than the whole checkpoint."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(child) for child in f.read().split()[:1]]
    except FileNotFoundError:  # it has ended, or the kernel lists none
        return machine.descendants(pid)[:1]


def kill_in_pass(env, play, number):
    """Kill the process that holds the tree when it has taken data out; whether it came to that."""
    output = env.path(f"killed.{number}")
    tool = subprocess.Popen([env.setup.crs, *env.setup.checkpoint, "--output", output, str(play.pid)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, **env.popen_kwargs())
    holder = machine.wait_for(lambda: first_child(tool.pid), 10 * env.patience, 0)
    seen = machine.wait_for(lambda: stop_waits(play.pid) or tool.poll() is not None,
                            30 * env.patience, 0)
    hit = bool(holder) and seen and tool.poll() is None
    if hit:
        os.kill(holder[0], signal.SIGKILL)
    tool.wait()
    held = [pid for pid in members(play)
            if not machine.wait_for(lambda pid=pid: gone_or_let_go(pid), 10 * env.patience, 0.001)]
    expect(not held, "still held or stopped:\n" + "\n".join(map(machine.describe, held)))
    return hit


def killed_in_pass(victim, wanted):
    """The sheltered process puts the data back; nobody may write before."""
    def run(env):
        play = Play(env, victim)
        play.start()
        hits = 0
        for number in range(16 * wanted):
            hits += kill_in_pass(env, play, number)
            play.ask("continue")
            if hits == wanted:
                break
        expect(hits == wanted, f"only {hits} of {wanted} kills were in time")
        play.stop()
    return run


def cases(setup):
    full = setup.options.full
    found = []
    shared = Victim(setup, os.path.join(setup.top, "tests", "victims", "tcp_socket_shared.c"))
    for user in ("root", "user"):
        found.append(Case(f"kill/tcp_socket_shared-tool-killed-in-the-pass/{user}",
                          staged(setup, shared, killed_in_pass(shared, PASSES[full])), user, 300,
                          alone=True))
    for name, steady in TARGETS.items():
        victim = Victim(setup, os.path.join(setup.top, "tests", "victims", name + ".c"))
        for user in ("root", "user"):
            found.append(Case(f"kill/{name}-tool-killed-{KILLS[full]}-times/{user}",
                              staged(setup, victim, killed(victim, full, steady)), user, 900,
                              alone=True))
    return found
