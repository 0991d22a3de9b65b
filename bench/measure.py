"""With what is measured: the programs that are saved, and the places of snapshots."""

import ctypes
import mmap
import os
import shutil
import signal
import subprocess
import tempfile
import time

MIB = 1 << 20


class Failed(Exception):
    """A measurement that could not be made; its words say why."""


PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    """What is restarted becomes a child of ours once its restarter has ended; so do orphans."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("prctl(PR_SET_CHILD_SUBREAPER)")


def wait_gone(pid, seconds=120):
    """Until its PID is free. It may be a child of ours, or be about to become one."""
    until = time.monotonic() + seconds
    while os.path.exists("/proc/%d" % pid) and time.monotonic() < until:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
        time.sleep(0.002)


def run_counted(command):
    """Run to its end; its output, its seconds, and the seconds of the processor that it took."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said = out.read()
        if child.returncode != 0:
            words = (err.read().strip() or said.strip()).splitlines()
            raise Failed("%s: exit code %d%s" % (" ".join(map(str, command[:2])), child.returncode,
                                                 ": " + words[-1] if words else ""))
        return said, seconds, usage.ru_utime + usage.ru_stime


def run(command):
    """Run a command to its end; returns its output and seconds."""
    return run_counted(command)[:2]


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


def sync(directory):
    """Have all its files on disk."""
    for path in [e.path for e in os.scandir(directory) if e.is_file()] + [directory]:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


class Program:
    """One of the programs of bench/, running in a directory of its own; restarted ones too."""

    def __init__(self, command, base, before=()):
        """command: with {dir} for the directory; before: what starts it (crs run)."""
        self.dir = tempfile.mkdtemp(prefix="program.", dir=base)
        self.pid = self.pidfd = None
        words = self.path("words")
        with open(words, "w") as stderr:
            self.child = subprocess.Popen(
                [*before, *(str(word).format(dir=self.dir) for word in command)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
                start_new_session=True)
        try:
            text = self.wait_ready()
            self.hold(int(text) if text.strip() else self.child.pid)
        except Failed as e:
            with open(words) as f:
                said = f.read().strip()
            self.close()
            raise Failed(said or str(e)) from None

    def wait_ready(self):
        return wait_for(self.path("ready"), 300, lambda: self.child.poll() is None)

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

    def kill(self):
        """End it, and wait until its PID is free."""
        if self.pidfd is not None:
            self.signal(signal.SIGKILL)
            wait_gone(self.pid)
        elif self.child and self.child.poll() is None:
            self.child.kill()
        self.release()
        if self.child:
            self.child.wait(120)
            self.child = None

    def close(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class Holder(Program):
    """bench/holder.c"""

    def __init__(self, program, base, *options, before=()):
        self.mib = options[options.index("--mib") + 1] if "--mib" in options else 0
        self.program, self.base = program, base
        super().__init__([program, "{dir}", *options], base, before)

    def write(self, path, sync):
        """Seconds of a plain write of its memory to a new file, which is removed again."""
        warm(self.mib)
        try:
            answer = self.order("%s %s" % ("write-sync" if sync else "write", path))
        finally:
            if os.path.exists(path):
                os.unlink(path)
        return int(answer) / 1e9

    def intervals(self, begin_ns, end_ns):
        """(begin, end) of each gap in its running that lies, in part, between two moments."""
        self.order("answer")  # then the last one is written
        with open(self.path("gaps")) as f:
            lines = [[int(word) for word in line.split()] for line in f]
        return [(begin, begin + length) for begin, length in lines
                if begin < end_ns and begin + length > begin_ns]

    def gaps(self, begin_ns, end_ns):
        """Seconds of each of them, as far as it lies between the moments."""
        return [(min(end, end_ns) - max(begin, begin_ns)) / 1e9
                for begin, end in self.intervals(begin_ns, end_ns)]

    def change(self, share):
        """Have it write to a share of its pages; returns how many."""
        return int(self.order("change %d" % round(share * 1e6)))

    def check(self):
        bad = int(self.order("check"))
        if bad:
            raise Failed("%d pages were wrong in the program that went on" % bad)

    def restart(self, tool, path, cold=False, **more):
        """Bring it back, and have all its memory touched and checked; seconds from the command's
        beginning until its first instruction, and until all was there."""
        if cold:
            drop_cached(path)
        warm(self.mib)
        stolen, begin = Stolen(), time.time_ns()
        with open(self.path("restarted.new"), "w") as f:
            f.write("%d\n" % begin)
        os.rename(f.name, self.path("restarted"))
        self.hold(tool.restart(path, **more))
        try:
            first, touched, bad = map(int, wait_for(self.path("touched"), 300).split())
            stolen = stolen.share()
        finally:
            for name in ("restarted", "touched"):
                if os.path.exists(self.path(name)):
                    os.unlink(self.path(name))
        if bad:
            raise Failed("%d pages were wrong after the restart" % bad)
        return {"first_instruction": (first - begin) / 1e9, "fully_there": (touched - begin) / 1e9,
                "restart_stolen": stolen}


class Stolen:
    """What the host of a virtual machine takes from it: the share of its processors' time that they
    should have run and didn't. Its clock goes in ticks: one isn't counted."""

    def __init__(self):
        self.begin, self.ticks = time.monotonic(), self.read()

    @staticmethod
    def read():
        with open("/proc/stat") as f:
            words = f.readline().split()
        return int(words[8]) if len(words) > 8 else 0

    def share(self):
        seconds = (time.monotonic() - self.begin) * os.cpu_count()
        ticks = max(self.read() - self.ticks - 1, 0)
        return ticks / os.sysconf("SC_CLK_TCK") / seconds


IDLE = ("--nap-us", 100)  # a holder that leaves the processors to others
QUIET_S = 0.2
WITNESS = ("--mib", 1, "--nap-us", 500, "--gap-us", 5000)


def warm(mib):
    """The host of a virtual machine takes free memory back after some seconds, and who touches it
    first then waits for it. Have as much there as will be needed now."""
    size = min(mib, available_mib() // 2) * MIB
    if size > 0:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def in_common(gap, others):
    """Seconds of a gap that are in others, too; these don't overlap each other."""
    return sum(max(0, min(gap[1], end) - max(gap[0], begin)) for begin, end in others) / 1e9


def take_checkpoint(tool, holder, *where):
    """While the program goes on: what the tool says, and the longest gap that the program saw, the
    sum of all, and the longest in a while before: others' doing. So is what another program sees at
    the same moment, which sleeps and has nothing to do with the checkpoint: then no program runs,
    as the host has taken the whole machine away. Only what both see for 5 ms and more is not
    counted, and is told; but a pause is never less than what the tool says."""
    witness = Holder(holder.program, holder.base, *WITNESS)
    try:
        warm(holder.mib)
        quiet = time.monotonic_ns()
        time.sleep(QUIET_S)
        stolen, begin = Stolen(), time.monotonic_ns()
        result = tool.checkpoint(*where)
        end, stolen = time.monotonic_ns(), stolen.share()
        seen = witness.intervals(begin, end)
    finally:
        witness.close()
    gaps = [((gap[1] - gap[0]) / 1e9, in_common(gap, seen))
            for gap in holder.intervals(begin, end)]
    longest = max((gap for gap, _ in gaps), default=0.0)
    own = max((gap - common for gap, common in gaps), default=0.0)
    return dict(result, stolen=stolen, gaps_seen=sum(gap for gap, _ in gaps), longest_gap=longest,
                pause_seen=max(own, min(longest, result.get("pause_told") or 0.0)),
                gap_of_machine=max((common for _, common in gaps), default=0.0),
                gap_before=max(holder.gaps(quiet, begin), default=0.0))


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

    def why_not(self, mib, files=2.0):
        """Why a program of that size, and as much in files (so many times), can't be measured here;
        None when it can."""
        if not os.path.isdir(self.parent):
            return "%s is not there" % self.parent
        if self.name == "disk" and self.in_memory():
            return "%s is in memory; name another directory with --disk" % self.parent
        stat = os.statvfs(self.parent)
        room, free = stat.f_bavail * stat.f_frsize // MIB, available_mib()
        in_files = int(mib * files * 1.05) + 64
        need = int(mib * 1.05) + 512 + (in_files if self.in_memory() else 0)
        if room < in_files:
            return "%d MiB are free in %s, %d are needed" % (room, self.parent, in_files)
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


class Round:
    """One program, one tool, one place: everything once."""

    def __init__(self, session, place, tool, options=(), plain=0, eager=True, lazy=False):
        """plain: beside so many plain writes and reads; restarted eagerly, on demand, or both."""
        self.programs, self.work, self.cold = session.programs, session.work, session.a.cold
        self.place, self.tool, self.options = place, tool, options
        self.plain, self.eager, self.lazy = plain, eager, lazy

    def plain_write(self, holder, nth):
        if self.plain < nth:
            return []
        return [holder.write(self.place.path("plain"), not self.place.in_memory())]

    def plain_read(self, holder, path, nth):
        if self.plain < nth:
            return []
        warm(holder.mib)
        if self.cold:
            drop_cached(path)
        files = sorted(e.path for e in os.scandir(path) if e.is_file())
        out, _ = run([self.programs["plain_read"], *files])
        return [int(out.split()[1]) / 1e9]

    def measure(self):
        """Plain ones before and after: what drifts, or is warm the second time, is fair so. A
        single one is before the checkpoint, and after the restart."""
        path = self.place.path("snapshot")
        holder = Holder(self.programs["holder"], self.work, *self.options,
                        before=self.tool.launch())
        try:
            writes = self.plain_write(holder, 1)
            result = take_checkpoint(self.tool, holder, holder.pid, path)
            result.pop("path", None)
            writes += self.plain_write(holder, 2)
            holder.check()
            holder.kill()
            reads = self.plain_read(holder, path, 2)
            if self.eager:
                result.update(holder.restart(self.tool, path, self.cold))
                holder.kill()
            if self.lazy:
                lazy = holder.restart(self.tool, path, self.cold, lazy=True)
                result.update({"lazy_" + key: value for key, value in lazy.items()})
                holder.kill()
            reads += self.plain_read(holder, path, 1)
        finally:
            holder.close()
            self.tool.remove(path)
        if self.plain:
            result.update(plain_write=sum(writes) / len(writes), plain_read=sum(reads) / len(reads))
        return result
