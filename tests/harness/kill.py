"""The tool is killed at any moment, and used over and over: the target must not notice.

Quick counts by default, the full ones with --full.
"""
import os
import random
import signal
import subprocess
import time

from . import build, machine
from .cases import Case, Failure, expect
from .victims import Play, Victim

KILLS = {False: 40, True: 200}
REPEATS = {False: 50, True: 500}


def target(setup):
    victim = Victim(setup, os.path.join(setup.top, "tests", "kill", "target.c"))
    victim.name = "kill-target"
    victim.binary = os.path.join(build.output_directory(setup, "victims"), victim.name)
    source, _, link, compiler, _ = victim.job
    directories = (os.path.join(setup.top, "tests", "victims"),)
    victim.job = (source, victim.binary, link, compiler, directories)
    return victim


def picture(pid):
    """All of a process that a checkpoint could leave changed, as /proc shows it."""
    threads = {}
    for tid in sorted(map(int, machine.listdir(f"/proc/{pid}/task"))):
        status = machine.status(f"{pid}/task/{tid}")
        threads[tid] = {key: status.get(key) for key in
                        ("Name", "TracerPid", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt",
                         "Seccomp", "Cpus_allowed", "CapEff", "NoNewPrivs")}
    return {
        "threads": threads,
        "descriptors": machine.descriptors(pid),
        "mappings": machine.mappings(pid),
        "children": sorted(p for p in machine.pids()
                           if (machine.stat_fields(p) or " 0")[1] == str(pid)),
        "limits": machine.read(f"/proc/{pid}/limits"),
        "timers": machine.read(f"/proc/{pid}/timers"),
    }


def changes(before, after):
    """The differences of two pictures, in words."""
    words = []
    for key, value in before.items():
        if isinstance(value, dict):
            for k in sorted(set(value) | set(after[key]), key=str):
                old, new = value.get(k), after[key].get(k)
                if isinstance(old, dict) and isinstance(new, dict):
                    words += [f"{key} {k}: {name} {old[name]} -> {new[name]}"
                              for name in old if old[name] != new[name]]
                elif old != new:
                    words.append(f"{key} {k}: {old} -> {new}")
        elif isinstance(value, list):
            words += [f"{key}: gone: {v}" for v in value if v not in after[key]]
            words += [f"{key}: new: {v}" for v in after[key] if v not in value]
        elif value != after[key]:
            words.append(f"{key}: {value}\n->\n{after[key]}")
    return words


def compare(env, before, pid, what):
    """The picture is the same again. A thread that was let go in the middle of a call needs a
    moment of the processor to come back to where it was."""
    same = machine.wait_for(lambda: not changes(before, picture(pid)), 3 * env.patience, 0.01)
    if not same:
        raise Failure(f"{what}, it changed:\n" + "\n".join(changes(before, picture(pid))))


def let_go(pid):
    """No thread is stopped or held any more."""
    for tid in machine.listdir(f"/proc/{pid}/task"):
        status = machine.status(f"{pid}/task/{tid}")
        if status and (status["State"][0] in "tT" or status.get("TracerPid") != "0"):
            return False
    return True


def begin(env, victim, kind=Play):
    build.once(env.setup, f"victims/{victim.name}", lambda path: build.compile_c(
        victim.job[0], path, *victim.job[2:]))
    play = kind(env, victim)
    play.start()
    return play


def victims_of_the_kill(tool, number):
    """Every other time the command that the user sees, else the process that holds the target."""
    tracers = [pid for pid in machine.descendants(tool) if machine.parent(pid) == tool]
    return tracers if tracers and number % 2 == 0 else [tool]


INTERRUPTING = "crs-interrupts"


def kill_outside_of_interruption(pid):
    """Kill a tracer with SIGKILL, at any moment but this one: it has interrupted a call and not yet
    repaired it. No tool could undo that when it is dead; its thread's name tells that it is there.
    """
    for _ in range(10000):
        os.kill(pid, signal.SIGSTOP)
        machine.wait_for(lambda: all(
            (machine.stat_fields(f"{pid}/task/{tid}") or "T")[0] in "TtZX"
            for tid in machine.listdir(f"/proc/{pid}/task")), 10, 0.0002)
        names = [machine.read(f"/proc/{pid}/task/{tid}/comm") or ""
                 for tid in machine.listdir(f"/proc/{pid}/task")]
        if not any(name.strip() == INTERRUPTING for name in names):
            break
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.0002)
    os.kill(pid, signal.SIGKILL)


class Moments:
    """When to kill: at random in the time that the tool takes, which is learned on the way, for
    what else the machine does makes it longer and shorter."""

    def __init__(self, env, first, wanted):
        self.span = first
        self.wanted = wanted
        self.hits = self.tries = 0
        seed = random.randrange(1 << 32)
        random.seed(seed)
        env.log.append(f"seed {seed}, {first * 1000:.1f} ms")

    def __iter__(self):
        while self.hits < self.wanted and self.tries < 8 * self.wanted:
            yield self.tries
            self.tries += 1
        expect(self.hits >= self.wanted,
               f"only {self.hits} of {self.tries} tools were killed in time")

    def next(self):
        return random.uniform(0, self.span)

    def learn(self, hit):
        """Most are hit, some come too late: then the whole of the time is covered."""
        self.hits += hit
        self.span *= 1.05 if hit else 0.8


def one_kill(env, play, number, before, moments):
    """Kill the tool after a random part of the time that it takes."""
    output = env.path(f"killed.{number}")
    stream = number % 3 == 2
    where = env.create(f"killed.{number}") if stream else os.devnull
    with open(where, "wb") as stdout:
        tool = subprocess.Popen([env.setup.crs, *env.setup.checkpoint, "--output",
                                 "-" if stream else output, str(play.pid)],
                                stdin=subprocess.DEVNULL, stdout=stdout,
                                stderr=subprocess.DEVNULL, **env.popen_kwargs())
    delay = moments.next()
    time.sleep(delay)
    killed = victims_of_the_kill(tool.pid, number)
    for pid in killed:
        try:
            if pid == tool.pid:
                os.kill(pid, signal.SIGKILL)
            else:
                kill_outside_of_interruption(pid)
        except ProcessLookupError:
            pass
    code = tool.wait()
    what = f"checkpoint {number}, {'command' if killed == [tool.pid] else 'tracer'} killed " \
        f"after {delay * 1000:.2f} ms"
    if not machine.alive(play.pid):
        raise Failure(f"{what}: the target died (wait status {play.process.poll()})")
    expect(machine.wait_for(lambda: let_go(play.pid), 5 * env.patience, 0.001),
           f"{what}: a thread is still held or stopped:\n{machine.describe(play.pid)}")
    machine.wait_for(lambda: machine.descendants() == [play.pid], 15 * env.patience, 0.02)
    expect(machine.descendants() == [play.pid], f"{what}: there are other processes now: " +
           ", ".join(machine.command(p) for p in machine.descendants() if p != play.pid))
    compare(env, before, play.pid, what)
    if stream:
        whole, _, err = env.run(env.setup.crs, "verify", output, timeout=60)
        expect(whole in ((0,) if code == 0 else (0, 6)), f"{what}: its stream: {whole}: {err}")
        os.unlink(output)
    elif os.path.exists(output):
        env.crs("verify", output)
    moments.learn(code != 0)


def killed(victim, full):
    def run(env):
        play = begin(env, victim)
        before = picture(play.pid)
        # the first is whole, and tells how long it takes
        begun = time.monotonic()
        env.crs(*env.setup.checkpoint, "--output", env.path("whole"), play.pid)
        moments = Moments(env, time.monotonic() - begun, KILLS[full])
        for number in moments:
            one_kill(env, play, number, before, moments)
            if number % 10 == 9:
                play.ask("continue")
        play.ask("continue")
        leftovers(env, play)
        play.stop()
    return run


def leftovers(env, play):
    """What killed tools left on disk is no snapshot, and is not in the way."""
    env.crs(*env.setup.checkpoint, "--name", "after", play.pid)
    env.crs("verify", "after")
    env.crs("list")
    env.crs("remove", "after")


def sizes(env, pid):
    """What must not grow: in the target, on the machine, in the store."""
    rollup = machine.read(f"/proc/{pid}/status") or ""
    fields = dict(line.split(":", 1) for line in rollup.splitlines() if ":" in line)
    files = [os.path.join(place, name) for place, _, names in os.walk(env.store) for name in names]
    return {
        "resident KiB": int(fields["VmRSS"].split()[0]),
        "page tables KiB": int(fields["VmPTE"].split()[0]),
        "descriptors": len(machine.descriptors(pid)),
        "mappings": len(machine.mappings(pid)),
        "threads": int(fields["Threads"]),
        "processes": len(machine.descendants()),
        "files in the store": len(files),
        "files in the directory": len(machine.listdir(env.dir)),
        "shared memory files": len(machine.listdir("/dev/shm")),
    }


def repeated(victim, full):
    def run(env):
        play = begin(env, victim)
        before = picture(play.pid)
        marks = []
        for number in range(REPEATS[full]):
            env.log.clear()
            env.crs(*env.setup.checkpoint, "--name", "again", play.pid)
            env.crs("remove", "again")
            if number in (5, REPEATS[full] - 1):
                play.ask("continue")
                marks.append(sizes(env, play.pid))
        compare(env, before, play.pid, f"after {REPEATS[full]} checkpoints")
        play.ask("continue")
        grown = [f"{key}: {marks[0][key]} -> {marks[1][key]}" for key in marks[0]
                 if marks[1][key] > marks[0][key] + (256 if key == "resident KiB" else
                                                     16 if key == "page tables KiB" else
                                                     2 if key == "files in the directory" else 0)]
        expect(not grown, f"in {REPEATS[full]} checkpoints grew: " + "; ".join(grown))
        play.stop()
    return run


def cases(setup):
    victim, full = target(setup), setup.options.full
    found = []
    for user in ("root", "user"):
        found.append(Case(f"kill/tool-killed-{KILLS[full]}-times/{user}", killed(victim, full),
                          user, 900, alone=True))
        found.append(Case(f"kill/checkpoint-{REPEATS[full]}-times/{user}", repeated(victim, full),
                          user, 900, alone=True))
    return found
