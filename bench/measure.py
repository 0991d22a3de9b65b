"""What is measured, and with which programs: the held program, and the tools that save it."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

MIB = 1 << 20


class Failed(Exception):
    """A measurement that could not be made; its words say why."""


def run(command, **more):
    """Run a command to its end; returns its output and seconds."""
    begin = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **more)
    seconds = time.monotonic() - begin
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failed("%s: exit code %d%s" % (" ".join(command[:2]), done.returncode,
                                             ": " + words[-1] if words else ""))
    return done.stdout, seconds


def wait_for(path, seconds, alive=lambda: True):
    """The content of a file that appears within some time."""
    until = time.monotonic() + seconds
    while not os.path.exists(path):
        if time.monotonic() > until or not alive():
            raise Failed("%s did not appear" % os.path.basename(path))
        time.sleep(0.002)
    with open(path) as f:
        return f.read()


def size_of(directory):
    return sum(e.stat().st_size for e in os.scandir(directory) if e.is_file())


class Holder:
    """bench/holder.c, running; restarted ones too."""

    def __init__(self, program, base, *options):
        self.dir = tempfile.mkdtemp(prefix="holder.", dir=base)
        self.child = self.pidfd = None
        words = os.path.join(self.dir, "words")
        with open(words, "w") as stderr:
            self.child = subprocess.Popen(
                [program, self.dir, *map(str, options)], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True)
        self.hold(self.child.pid)
        try:
            wait_for(self.path("ready"), 300, lambda: self.child.poll() is None)
        except Failed:
            self.close()
            raise
        finally:
            if os.path.exists(words):
                with open(words) as f:
                    said = f.read().strip()
        if said:
            self.close()
            raise Failed(said)

    def path(self, name):
        return os.path.join(self.dir, name)

    def hold(self, pid):
        self.release()
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)

    def release(self):
        if self.pidfd is not None:
            os.close(self.pidfd)
        self.pidfd = None

    def signal(self, number):
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            pass

    def order(self, text):
        """Have it do something; returns its answer."""
        answer = self.path("answer")
        with open(self.path("order"), "w") as f:
            f.write(text)
        self.signal(signal.SIGUSR1)
        try:
            return wait_for(answer, 300)
        finally:
            if os.path.exists(answer):
                os.unlink(answer)

    def write(self, path, sync):
        """Seconds of a plain write of its memory to a new file, which is removed again."""
        try:
            answer = self.order("%s %s" % ("write-sync" if sync else "write", path))
        finally:
            if os.path.exists(path):
                os.unlink(path)
        return int(answer) / 1e9

    def gaps(self, begin_ns, end_ns):
        """Seconds of each gap in its running that lies, in part, between two moments."""
        with open(self.path("gaps")) as f:
            lines = [[int(word) for word in line.split()] for line in f]
        return [length / 1e9 for begin, length, _ in lines
                if begin < end_ns and begin + length > begin_ns]

    def ended(self):
        """Wait until it is gone (it was ended by a checkpoint)."""
        self.release()
        if self.child:
            self.child.wait(60)
            self.child = None

    def expect_restart(self):
        with open(self.path("restarted"), "w"):
            pass

    def restarted(self):
        """CLOCK_REALTIME (ns) of its first instruction, and when all memory had been touched."""
        first, touched, bad = map(int, wait_for(self.path("touched"), 300).split())
        if bad:
            raise Failed("%d pages were wrong after the restart" % bad)
        return first, touched

    def close(self):
        if self.pidfd is not None:
            self.signal(signal.SIGKILL)
            until = time.monotonic() + 60
            while os.path.exists("/proc/%d" % self.pid) and time.monotonic() < until:
                if self.child and self.child.poll() is not None:
                    break
                time.sleep(0.002)
        self.ended()
        shutil.rmtree(self.dir, ignore_errors=True)


class Crs:
    name = "crs"

    def __init__(self, program, compress="none", freeze=None):
        self.program = program
        self.options = ["--compress", compress] if compress else []
        self.options += [f"--freeze={freeze}"] if freeze else []

    def checkpoint(self, pid, path, terminate=False):
        """Returns seconds: the pause as the tool says it, and the whole; and bytes."""
        out, seconds = run([self.program, "checkpoint", "--json", "--output", path, *self.options,
                            *(["--terminate"] if terminate else []), str(pid)])
        told = json.loads(out)
        return {"pause_told": told["pause_us"] / 1e6, "total": seconds,
                "bytes": told["size_bytes"]}

    def restart(self, path):
        """Returns the PID."""
        out, _ = run([self.program, "restart", "--json", "--detach", path])
        return json.loads(out)["pid"]

    def remove(self, path):
        shutil.rmtree(path, ignore_errors=True)


class Criu:
    name = "CRIU"

    @staticmethod
    def why_not():
        """Why it can't be measured here; None when it can."""
        program = shutil.which("criu", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not program:
            return "criu is not installed"
        if os.geteuid() != 0:
            return "criu needs root, or capabilities given to its file"
        done = subprocess.run([program, "check"], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True)
        words = [line.strip() for line in (done.stderr + done.stdout).splitlines()
                 if line.strip() and "exited, status" not in line]
        if done.returncode != 0:
            return "`criu check` fails: %s" % (words[0] if words else done.returncode)
        Criu.program = program
        return None

    def checkpoint(self, pid, path, terminate=False):
        os.mkdir(path)
        _, seconds = run([self.program, "dump", "--tree", str(pid), "--images-dir", path,
                          "--log-file", "log", *([] if terminate else ["--leave-running"])])
        return {"pause_told": None, "total": seconds, "bytes": size_of(path)}

    def restart(self, path):
        pid_file = os.path.join(path, "pid")
        run([self.program, "restore", "--images-dir", path, "--log-file", "log",
             "--restore-detached", "--pidfile", pid_file])
        with open(pid_file) as f:
            return int(f.read())

    def remove(self, path):
        shutil.rmtree(path, ignore_errors=True)


class Place:
    """Where snapshots are written."""

    def __init__(self, name, parent):
        self.name, self.parent = name, parent
        self.dir = None

    def file_system(self):
        best = ("", "?")
        with open("/proc/self/mounts") as f:
            for line in f:
                _, point, kind = line.split()[:3]
                inside = os.path.realpath(self.parent) + "/"
                if inside.startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
                    best = (point, kind)
        return best[1]

    def in_memory(self):
        return self.file_system() in ("tmpfs", "ramfs")

    def why_not(self, mib):
        """Why a program of that size can't be measured here; None when it can."""
        if not os.path.isdir(self.parent):
            return "%s is not there" % self.parent
        if self.name == "disk" and self.in_memory():
            return "%s is in memory; name another directory with --disk" % self.parent
        stat = os.statvfs(self.parent)
        room, free = stat.f_bavail * stat.f_frsize // MIB, available_mib()
        need = (mib * 21 if self.in_memory() else mib * 11) // 10 + 512
        if room < mib * 11 // 10 + 64:
            return "%d MiB are free in %s" % (room, self.parent)
        if free < need:
            return "%d MiB of memory are free, %d are needed" % (free, need)
        return None

    def path(self, name):
        return os.path.join(self.dir, name)


def available_mib():
    with open("/proc/meminfo") as f:
        for line in f:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    return 0


def drop_cached(directory):
    """Have the page cache forget files that are on disk: the next reader finds them cold."""
    for entry in os.scandir(directory):
        if entry.is_file():
            fd = os.open(entry.path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


class Bench:
    """One program, one tool, one place: a round of everything."""

    def __init__(self, programs, work, place):
        self.holder_program, self.plain_read = programs
        self.work, self.place = work, place

    def plain_write(self, holder):
        return holder.write(self.place.path("plain"), not self.place.in_memory())

    def read_plain(self, path):
        out, _ = run([self.plain_read] + sorted(e.path for e in os.scandir(path) if e.is_file()))
        return int(out.split()[1]) / 1e9

    def checkpoint(self, tool, holder):
        """The program goes on."""
        path = self.place.path("snapshot")
        begin = time.monotonic_ns()
        try:
            result = tool.checkpoint(holder.pid, path)
        finally:
            end = time.monotonic_ns()
            tool.remove(path)
        holder.order("answer")  # then the last gap is written
        gaps = holder.gaps(begin, end)
        return dict(result, pause_seen=max(gaps, default=0.0), gaps_seen=sum(gaps))

    def restart(self, tool, holder, path, cold):
        if cold:
            drop_cached(path)
        holder.expect_restart()
        begin = time.time_ns()
        pid = tool.restart(path)
        holder.hold(pid)
        first, touched = holder.restarted()
        return {"first_instruction": (first - begin) / 1e9, "fully_there": (touched - begin) / 1e9}

    def round(self, tool, options, plain=False, cold=False):
        """Plain ones before and after, so that what drifts (or is warm the second time) is fair."""
        path = self.place.path("ended")
        holder = Holder(self.holder_program, self.work, *options)
        try:
            writes = [self.plain_write(holder)] if plain else []
            result = self.checkpoint(tool, holder)
            writes += [self.plain_write(holder)] if plain else []
            tool.checkpoint(holder.pid, path, terminate=True)
            holder.ended()
            reads = [self.cold_read(path, cold)] if plain else []
            result.update(self.restart(tool, holder, path, cold))
            holder.close()
            reads += [self.cold_read(path, cold)] if plain else []
        finally:
            holder.close()
            tool.remove(path)
        if plain:
            result.update(plain_write=sum(writes) / 2, plain_read=sum(reads) / 2)
        return result

    def cold_read(self, path, cold):
        if cold:
            drop_cached(path)
        return self.read_plain(path)
