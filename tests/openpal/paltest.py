"""What scripts of this folder share: a program that obeys (life.c), and the tools.

All waits are for something to be so, with a limit that only a fault reaches.
"""
import ctypes
import os
import re
import signal
import subprocess
import sys
import time

LIMIT_S = 60
PREFIX = os.environ["OPENPAL"]
PROGRAMS = os.environ["OPENPAL_PROGRAMS"]
HERE = os.getcwd()
RUN = os.path.join(HERE, "run")
SNAPSHOTS = os.path.join(HERE, "snapshots")
PLACE = os.path.join(RUN, "opencrs")
CHECKPOINT = os.path.join(PREFIX, "bin", "opal-checkpoint")
RESTART = os.path.join(PREFIX, "bin", "opal-restart")

os.makedirs(RUN, 0o700, exist_ok=True)
os.makedirs("components", exist_ok=True)
if not os.path.lexists("components/mca_crs_forking.so"):
    os.symlink(os.path.join(PROGRAMS, "crs_forking"), "components/mca_crs_forking.so")
os.environ.update(XDG_RUNTIME_DIR=RUN, OPAL_MCA_mca_component_path=os.path.join(HERE, "components"),
                  OPAL_MCA_crs_base_snapshot_dir=SNAPSHOTS)


def check(condition, words):
    if not condition:
        try:
            with open("out", encoding="utf-8") as file:
                print(file.read()[-4000:], file=sys.stderr)
        except OSError:
            pass
        raise SystemExit(f"not so: {words}")


def wait_for(condition, words):
    until = time.monotonic() + LIMIT_S
    while True:
        found = condition()
        if found:
            return found
        check(time.monotonic() < until, f"in time: {words}")
        time.sleep(0.002)


def lines(pid=None, start=0):
    """What processes have said, as (pid, words)."""
    if not os.path.exists("out"):
        return []
    with open("out", encoding="utf-8") as file:
        text = file.read()
    found = [line.split(" ", 1) for line in text[:text.rfind("\n") + 1].splitlines()]
    found = [(int(number), words) for number, words in found]
    return [(n, w) for n, w in found[start:] if pid is None or n == pid]


def position():
    return len(lines())


def write(fifo, command):
    """It has to be there: nothing else is made."""
    fd = os.open(fifo, os.O_WRONLY)
    os.write(fd, command.encode() + b"\n")
    os.close(fd)


class Life:
    """The program, or a process that came from it."""

    def __init__(self, *args, component="forking", pid=None, user=None, **env):
        self.process = None
        if pid is None:
            extra = {"OPAL_MCA_crs": component} if component else {}
            self.error = open("life.err", "ab")
            self.process = subprocess.Popen(
                [os.path.join(PROGRAMS, "life"), *args], stdin=subprocess.DEVNULL,
                stdout=self.error, stderr=self.error, user=user, env={**os.environ, **extra, **env})
            pid = self.process.pid
        self.pid = pid
        ALL.append(pid)
        if self.process:
            self.hears("begin")

    def send(self, command):
        write(f"in.{self.pid}", command)

    def hears(self, words, start=0):
        """A line that begins so; all of it."""
        found = wait_for(lambda: [w for _, w in lines(self.pid, start)
                                  if (w + " ").startswith(words + " ")],
                         f"{self.pid} says '{words}'")
        return found[-1]

    def does(self, command, answer):
        start = position()
        self.send(command)
        return self.hears(answer, start)

    def callbacks(self, start=0):
        return [w for _, w in lines(self.pid, start) if w.split()[0] in ("level", "user")]

    def end(self):
        self.send("end")
        self.hears("end")
        if self.process:
            check(self.process.wait(LIMIT_S) == 0, "the program ends with 0")

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        if self.process:
            self.process.wait()
        else:
            reap(self.pid)

    def state(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0]


ALL = []


def adopt():
    """Orphans become ours: a number is free when its process has been waited for."""
    PR_SET_CHILD_SUBREAPER = 36
    check(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, "prctl")


def reap(pid):
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        wait_for(lambda: not exists(pid), "it is gone")


def exists(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def images():
    """The processes that sleep as images, or have been restarted from one."""
    if not os.path.exists("images"):
        return []
    with open("images", encoding="ascii") as file:
        return [int(line) for line in file.read().split()]


def values(snapshot, key):
    with open(os.path.join(snapshot, "snapshot_meta.data"), encoding="utf-8") as file:
        return [line.split(": ", 1)[1].rstrip("\n") for line in file
                if line.startswith(f"# {key}: ")]


def tool(program, *args, code=0, says=(), **env):
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True, check=False,
                          timeout=LIMIT_S, env={**os.environ, **env})
    text = done.stdout + done.stderr
    check(done.returncode == code, f"{os.path.basename(program)} {args} ends with {code}, not "
          f"{done.returncode}: {text}")
    for words in [says] if isinstance(says, str) else says:
        check(words in text, f"{os.path.basename(program)} {args} says '{words}': {text}")
    return done.stdout


def start_tool(program, *args, **env):
    return subprocess.Popen([program, *map(str, args)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, **env})


def peek(process):
    """What a tool that runs has said so far."""
    os.set_blocking(process.stdout.fileno(), False)
    process.said = getattr(process, "said", "")
    try:
        process.said += os.read(process.stdout.fileno(), 65536).decode()
    except BlockingIOError:
        pass
    return process.said


def handle_of(text):
    found = [line.split(" = ", 1)[1] for line in text.splitlines()
             if line.startswith("Local Snapshot Reference = ")]
    check(len(found) == 1, f"one handle in: {text}")
    return found[0]


def checkpoint(life, *args, **more):
    return handle_of(tool(CHECKPOINT, *args, life.pid, **more))


def restart(handle, *args, **env):
    """By the forking component."""
    start = position()
    pid = int(tool(RESTART, "--fork", *args, handle, **env))
    return Life(pid=pid), start


def place(path=PLACE):
    """Without the numbers of PID namespaces, which are there where this one isn't the first."""
    names = os.listdir(path) if os.path.isdir(path) else []
    return sorted(re.sub(r"^(opal-[0-9]+)-[0-9]+\.", r"\1.", name) for name in names)


def socket_of(life):
    inode = os.stat(f"/proc/{life.pid}/ns/pid").st_ino
    return f"{PLACE}/opal-{life.pid}{'' if inode == 0xEFFFFFFC else f'-{inode}'}.sock"


def children():
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def finish():
    """Orphans have come to us: all of them, when there is none any more."""
    while children():
        for pid in children():
            os.kill(pid, signal.SIGKILL)
            reap(pid)


def main(run):
    try:
        adopt()
        run()
    finally:
        finish()
