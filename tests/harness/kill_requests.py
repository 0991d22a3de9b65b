"""BLCR's tools, and what makes a restart that a program asks for, are killed at any moment: the
program that is saved goes on, no half of a program or of a context is left, and the next one works.
"""
import os
import select
import signal
import struct
import subprocess
import time

from . import build, kill, machine
from .cases import Case, Failure, expect

KILLS = {False: 30, True: 150}
FIELDS = ("pid", "main_rounds", "thread_rounds", "continued", "restarted", "failed", "problems")


def make_program(setup, path):
    """Beside BLCR's tools, so that it finds the library as they do."""
    source = os.path.join(setup.top, "tests", "kill", "requester.c")
    libraries = os.path.join(setup.build, "src", "libcr")
    build.compile_c(source, path, f"-L{libraries} -l:libcr.so.0 -Wl,-rpath,'$ORIGIN'/../lib",
                    include=[os.path.join(setup.top, "include")])


def program(env):
    return build.once(env.setup, "bin/requester", lambda path: make_program(env.setup, path))


def tool(env, name):
    return os.path.join(env.setup.stage, "bin", name)


def progress(env):
    with open(env.path("progress"), "rb") as file:
        data = file.read()
    size = 4 * len(FIELDS)
    return dict(zip(FIELDS, struct.unpack(f"{len(FIELDS)}I", data[:size]))) \
        if len(data) >= size else dict.fromkeys(FIELDS, 0)


def forget_progress(env):
    """It counts in its memory, which is the same after each restart."""
    with open(env.path("progress"), "r+b") as file:
        file.write(bytes(4 * len(FIELDS)))


def expect_progress(env, what):
    """Both threads count, and have seen nothing strange."""
    before = progress(env)

    def goes_on():
        now = progress(env)
        return all(now[key] > before[key] for key in ("main_rounds", "thread_rounds"))
    expect(machine.wait_for(goes_on, 20 * env.patience, 0.002),
           f"{what}: it doesn't go on:\n" + "\n".join(
               f"{pid}: {machine.command(pid)}\n{machine.describe(pid)}"
               for pid in machine.descendants()))
    expect(progress(env)["problems"] == 0, f"{what}: {env.tail('stderr')}")


def begin(env):
    env.create("progress")
    process = env.start(program(env))
    expect(machine.wait_for(lambda: progress(env)["thread_rounds"] > 0, 20 * env.patience),
           "it doesn't start")
    return process


def popen(env, *command, **options):
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
               "stderr": subprocess.DEVNULL} | options
    return subprocess.Popen(command, **options, **env.popen_kwargs())


def timed(run):
    begun = time.monotonic()
    run()
    return time.monotonic() - begun


def kill_some(pids):
    """At any moment but the one that no tool could undo (see kill.py)."""
    for pid in pids:
        try:
            kill.kill_outside_of_interruption(pid)
        except ProcessLookupError:
            pass


def own_files(env, own):
    return sorted(set(os.listdir(env.dir)) - own)


# ---- cr_checkpoint ----

def checkpoint_once(env, pid):
    code, _, err = env.run(tool(env, "cr_checkpoint"), "-f", "context", pid, timeout=60)
    expect(code == 0, f"cr_checkpoint: {code}: {err}")
    env.crs("verify", "./context")
    os.unlink(env.path("context"))


def kill_checkpoint(env, process, number, moments, own):
    """The command itself, or what works behind it."""
    running = popen(env, tool(env, "cr_checkpoint"), "-f", "context", str(process.pid))
    delay = moments.next()
    time.sleep(delay)
    behind = machine.descendants(running.pid)
    whom = behind if behind and number % 2 else [running.pid]
    what = f"cr_checkpoint {number}, {'command' if whom != behind else 'process behind'} killed " \
        f"after {delay * 1000:.2f} ms"
    kill_some(whom)
    code = running.wait()
    expect(machine.wait_for(lambda: machine.descendants() == [process.pid], 15 * env.patience),
           f"{what}: there are other processes: {machine.descendants()}")
    expect(machine.alive(process.pid), f"{what}: the program has died")
    expect(machine.wait_for(lambda: kill.let_go(process.pid), 10 * env.patience),
           f"{what}: still held or stopped:\n{machine.describe(process.pid)}")
    expect_progress(env, what)
    if os.path.exists(env.path("context")):  # whole, or not at all
        env.crs("verify", "./context")
        os.unlink(env.path("context"))
    moments.learn(code != 0)
    left = own_files(env, own | {".context.tmp"})
    expect(not left, f"{what}: there are {left}")


def checkpoints(full):
    def run(env):
        process = begin(env)
        checkpoint_once(env, process.pid)
        own = set(os.listdir(env.dir))
        before = kill.picture(process.pid)
        moments = kill.Moments(env, timed(lambda: checkpoint_once(env, process.pid)), KILLS[full])
        for number in moments:
            env.log.clear()
            kill_checkpoint(env, process, number, moments, own)
            if number % 5 == 4:  # what was left behind is not in the way, and goes
                checkpoint_once(env, process.pid)
                expect(not own_files(env, own), f"left behind: {own_files(env, own)}")
        kill.compare(env, before, process.pid, "after all kills")
        seen = progress(env)
        expect(seen["continued"] > 0 and seen["failed"] > 0 and seen["restarted"] == 0, seen)
        checkpoint_once(env, process.pid)
        env.create("end")
        expect(env.wait_gone(process.pid) == 7, "it has seen something strange")
    return run


# ---- cr_restart ----

def save(env):
    process = begin(env)
    code, _, err = env.run(tool(env, "cr_checkpoint"), "-f", "context", "--term", process.pid,
                           timeout=60)
    expect(code == 0, f"cr_checkpoint: {code}: {err}")
    expect(env.wait_gone(process.pid) == -signal.SIGTERM, "it doesn't end by the signal")


def restart_and_end(env):
    """A whole one: it goes on, and ends as it does by itself."""
    forget_progress(env)
    running = popen(env, tool(env, "cr_restart"), "context")
    expect(machine.wait_for(lambda: progress(env)["restarted"] > 0, 20 * env.patience),
           "it isn't restarted")
    expect_progress(env, "restarted")
    env.create("end")
    code = running.wait(60)
    expect(code == 7, f"cr_restart: exit code {code}")
    os.unlink(env.path("end"))


def nobody_left(env, what):
    def nobody():
        machine.reap()
        return not machine.children()
    expect(machine.wait_for(nobody, 15 * env.patience), f"{what}: there are still " + ", ".join(
        f"{pid} ({machine.command(pid)})" for pid in machine.descendants()))


def all_or_nothing(env, what):
    """Either the program runs now, whole, or there is nothing of it. It is ended. Did it run?"""
    def settled():
        left = machine.descendants()
        return not left or all(kill.let_go(pid) for pid in left)

    def runs():
        return progress(env)["main_rounds"] > 0
    machine.wait_for(lambda: runs() or not machine.descendants(), 15 * env.patience)
    expect(machine.wait_for(settled, 15 * env.patience), f"{what}: held or stopped:\n" + "\n".join(
        map(machine.describe, machine.descendants())))
    if machine.descendants():
        expect_progress(env, what)
        for pid in machine.descendants():
            if machine.command(pid).endswith("requester"):
                os.kill(pid, signal.SIGKILL)
    nobody_left(env, what)
    return runs()


def kill_restart(env, number, moments):
    forget_progress(env)
    running = popen(env, tool(env, "cr_restart"), "context")
    delay = moments.next()
    time.sleep(delay)
    kill_some([running.pid])
    running.wait()
    what = f"cr_restart {number}, killed after {delay * 1000:.2f} ms"
    ran = all_or_nothing(env, what)
    moments.learn(not ran)


def restarts(full):
    def run(env):
        save(env)
        restart_and_end(env)
        own = set(os.listdir(env.dir))
        moments = kill.Moments(env, 0.08 * env.patience, KILLS[full])
        for number in moments:
            kill_restart(env, number, moments)
            if number % 10 == 9:
                restart_and_end(env)
        restart_and_end(env)
        nobody_left(env, "at the end")
        expect(not own_files(env, own), f"left behind: {own_files(env, own)}")
    return run


# ---- a restart that a program asks for ----

def ask(restarter):
    restarter.stdin.write("restart\n")
    restarter.stdin.flush()


def answer(restarter):
    """(error, wait status of what was restarted)"""
    return [int(word) for word in restarter.stdout.readline().split()]


def request_processes(restarter):
    """As soon as there are some, or none where the request has ended: it takes a few milliseconds."""
    while True:
        ended = select.select([restarter.stdout], [], [], 0)[0]
        found = [pid for pid in machine.descendants_now(restarter.pid)
                 if (machine.read(f"/proc/{pid}/comm") or "").strip() == "crs-request"]
        if found or ended:
            return found


def alone(restarter):
    machine.reap_all_but({restarter.pid})
    return machine.children() == machine.descendants() == [restarter.pid]


def kill_request(env, restarter, number, moments):
    ask(restarter)
    delay = moments.next()
    time.sleep(delay)
    kill_some(request_processes(restarter))
    error, status = answer(restarter)
    what = f"request {number}, killed after {delay * 1000:.2f} ms, ended with {error}, {status}"
    expect(machine.alive(restarter.pid), f"{what}: who asked has died")
    if error == 0:
        expect(status == signal.SIGKILL, f"{what}: it had no such child")
    expect(machine.wait_for(lambda: alone(restarter), 15 * env.patience),
           f"{what}: there are still " + ", ".join(
               f"{pid} ({machine.command(pid)})" for pid in machine.descendants()))
    moments.learn(error != 0)


def one_request(restarter):
    ask(restarter)
    error, status = answer(restarter)
    if error != 0 or status != signal.SIGKILL:
        raise Failure(f"a restart that nobody disturbed ended with {error}, {status}")


def requests(full):
    def run(env):
        save(env)
        restarter = popen(env, program(env), "restart", stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True)
        env.started.append(restarter)
        one_request(restarter)
        machine.wait_for(lambda: len(machine.listdir(f"/proc/{restarter.pid}/task")) == 1,
                         10 * env.patience)  # the library's own has ended
        before = kill.picture(restarter.pid)
        moments = kill.Moments(env, timed(lambda: one_request(restarter)), KILLS[full])
        for number in moments:
            kill_request(env, restarter, number, moments)
            if number % 10 == 9:
                one_request(restarter)
        one_request(restarter)

        def changes():
            now = kill.picture(restarter.pid)
            # the C library keeps the stacks of threads that have ended
            return kill.changes(before, now | {"mappings": before["mappings"]})
        expect(machine.wait_for(lambda: not changes(), 10 * env.patience),
               f"after all kills, it changed: {changes()}")
        restarter.stdin.close()
        expect(restarter.wait(20 * env.patience) == 0, "who asked ended badly")
    return run


def cases(setup):
    full = setup.options.full
    makers = {"cr_checkpoint": checkpoints, "cr_restart": restarts, "cr_request_restart": requests}
    return [Case(f"kill/{name}-killed-{KILLS[full]}-times/{user}", make(full), user, 900, alone=True)
            for name, make in makers.items() for user in ("root", "user")]
