"""The machine as /proc shows it: processes, their state, what a test left behind."""
import contextlib
import ctypes
import fcntl
import functools
import os
import re
import signal
import socket
import struct
import subprocess
import time

PR_SET_CHILD_SUBREAPER = 36
PR_SET_PTRACER = 0x59616D61


def become_subreaper():
    """Orphans of this process's descendants become its children, so none is lost sight of."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def own_network():
    """A network with nothing but the loopback, where that may be had: between the end of a program
    and its restart nobody else takes a port of its."""
    if os.geteuid() != 0 or ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = bytearray(struct.pack("16sh14x", b"lo", 0))
        fcntl.ioctl(control, SIOCGIFFLAGS, request)
        flags = struct.unpack_from("16sh", request)[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def read(path):
    """The file's text, or None where it (or its process) is gone."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError, OSError):
        return None


def stat_fields(pid):
    """The fields of /proc/PID/stat after the name (state first), or None."""
    text = read(f"/proc/{pid}/stat")
    return text.rpartition(")")[2].split() if text else None


def status(pid):
    """The lines of /proc/PID/status as a dictionary; empty when the process is gone."""
    text = read(f"/proc/{pid}/status") or ""
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def alive(pid):
    """It exists, and is no zombie (a leader that has ended before its threads is none yet)."""
    fields = stat_fields(pid)
    return fields is not None and (fields[0] not in "ZX" or int(fields[17]) > 1)


def command(pid):
    text = (read(f"/proc/{pid}/cmdline") or "").replace("\0", " ").strip()
    return text or f"[{status(pid).get('Name', '?')}]"


def parent(pid):
    fields = stat_fields(pid)
    return int(fields[1]) if fields else 0


def descendants(of=None):
    """All living processes below `of` (default: this process), children first."""
    of = os.getpid() if of is None else of
    children = {}
    for pid in pids():
        fields = stat_fields(pid)
        if fields and fields[0] not in "ZX":
            children.setdefault(int(fields[1]), []).append(pid)
    found, queue = [], [of]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def descendants_now(of):
    """Those below `of`, as the kernel lists children: not all where some end meanwhile, but soon."""
    found = []
    for tid in listdir(f"/proc/{of}/task"):
        for pid in (read(f"/proc/{of}/task/{tid}/children") or "").split():
            found += [int(pid), *descendants_now(int(pid))]
    return found


def children():
    """This process's children, also those that have ended and hold their PIDs until they are reaped:
    a process of many threads can be for a while after its end is seen."""
    fields = {pid: stat_fields(pid) for pid in pids()}
    return [pid for pid, field in fields.items() if field and int(field[1]) == os.getpid()]


def reap():
    """Take the exit codes of orphans that came to us; a dictionary PID -> status."""
    ended = {}
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = code


def reap_started(processes):
    """Take exit codes: first of the processes started here, then of orphans."""
    for process in processes:
        process.poll()
    if all(process.returncode is not None for process in processes):
        reap()


def kill_descendants():
    """End what is still there below us, by PID. Returns what it was, in words."""
    words = []
    for _ in range(20):
        left = descendants()
        if not left:
            break
        for pid in left:
            words.append(f"process {pid}: {command(pid)}")
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
        reap()
    return sorted(set(words))


def kill_session(sid):
    """End the processes below us that are in this session."""
    for pid in descendants():
        if (stat_fields(pid) or [""] * 4)[3] == str(sid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def wait_for(condition, seconds, step=0.005):
    """Poll until condition() is true; its value, or a false one when the time is up."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


def describe(pid):
    """A process in words, for a failure's output."""
    lines = []
    for tid in sorted(map(int, listdir(f"/proc/{pid}/task"))):
        fields = status(f"{pid}/task/{tid}")
        keys = ("Name", "State", "TracerPid", "SigPnd", "SigBlk")
        lines.append(f"  thread {tid}: " + ", ".join(f"{k} {fields.get(k)}" for k in keys))
        call = (read(f"/proc/{pid}/task/{tid}/syscall") or "?").strip()
        wchan = (read(f"/proc/{pid}/task/{tid}/wchan") or "?").strip()
        lines.append(f"    system call {call}; waits in {wchan}")
    return "\n".join(lines) or f"  process {pid} is gone"


def listdir(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def descriptors(pid):
    """fd -> what it is, as /proc shows it."""
    found = {}
    for fd in listdir(f"/proc/{pid}/fd"):
        try:
            found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            pass
    return found


def mappings(pid):
    """(range, protection, offset, name, VmFlags) of each mapping."""
    found = []
    for line in (read(f"/proc/{pid}/smaps") or "").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            place, protection, offset, _, _, *name = line.split(None, 5)
            found.append([place, protection, offset, name[0].strip() if name else "", ""])
        elif line.startswith("VmFlags:"):
            found[-1][4] = line[8:].strip()
    return [tuple(m) for m in found]


def memory_available_mib():
    match = re.search(r"MemAvailable:\s+(\d+) kB", read("/proc/meminfo") or "")
    return int(match.group(1)) // 1024 if match else 0


HUGE = "/sys/kernel/mm/hugepages/hugepages-2048kB/"


def huge_pages_free():
    """Huge pages of 2 MiB that nobody has, nor has been promised."""
    free, reserved = (int(read(HUGE + name) or 0) for name in ("free_hugepages", "resv_hugepages"))
    return free - reserved


@contextlib.contextmanager
def huge_pages(n):
    """So many more huge pages for as long as the context lasts; ValueError: they can't be had."""
    def lasting():
        # Those that are in use when their number is lowered are counted until they are free.
        return int(read(HUGE + "nr_hugepages")) - int(read(HUGE + "surplus_hugepages"))

    def add(difference):
        with open(HUGE + "nr_hugepages", "r+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = lasting()
            file.write(str(before + difference))
            file.flush()
            return lasting() - before
    if n == 0 or (not os.access(HUGE + "nr_hugepages", os.W_OK) and huge_pages_free() >= n):
        yield
        return
    try:
        added = add(n)
    except OSError as error:
        raise ValueError(f"{HUGE}nr_hugepages can't be written: {error.strerror}") from None
    try:
        if added < n:
            raise ValueError(f"only {added} of {n} huge pages can be had")
        yield
    finally:
        add(-added)


def places():
    """What a test run must not leave behind: processes' files, mounts, shared memory."""
    return {
        # Java keeps a directory for each user that ever ran it.
        "/tmp": {name for name in listdir("/tmp") if not name.startswith("hsperfdata_")},
        "/dev/shm": set(listdir("/dev/shm")),
        "mounts": set((read("/proc/self/mounts") or "").splitlines()),
    }


def traceable():
    """For preexec_fn. Where yama lets only ancestors hold a process, this one may be held by anyone
    of the same user."""
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(2**64 - 1), 0, 0, 0)


def setpriv_kwargs(uid, gid):
    """Arguments for subprocess: run as this user, with no group but its own."""
    return {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 else {}


def remove_sysv(uid):
    """The System V objects of a user: a database that was ended and came back in an IPC namespace of
    its own has left the first ones."""
    libc = ctypes.CDLL(None)
    removers = {"shm": lambda n: libc.shmctl(n, 0, None), "sem": lambda n: libc.semctl(n, 0, 0),
                "msg": lambda n: libc.msgctl(n, 0, None)}
    for kind, remove in removers.items():
        head, *lines = (read(f"/proc/sysvipc/{kind}") or "uid").splitlines()
        column = head.split().index("uid")
        for fields in map(str.split, lines):
            if int(fields[column]) == uid:
                remove(int(fields[1]))


def free_uid():
    """An ordinary user's number that nobody and nothing on this machine uses."""
    import pwd

    used = {entry.pw_uid for entry in pwd.getpwall()}
    used |= {int(status(pid).get("Uid", "0").split()[0]) for pid in pids()}
    return next(uid for uid in range(61180, 65000) if uid not in used)


@functools.lru_cache
def user_namespaces_work(uid, gid):
    """May this user make a user and PID namespace? "" or the reason why not."""
    done = subprocess.run(["unshare", "--user", "--map-current-user", "--pid", "--fork", "true"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          **setpriv_kwargs(uid, gid))
    return "" if done.returncode == 0 else "user namespaces are forbidden here: " + \
        (done.stderr.strip().splitlines() or ["?"])[-1]


def reap_all_but(own):
    """Take the exit codes of orphans that came to us, but not of the processes `own`."""
    for pid in pids():
        fields = stat_fields(pid)
        if fields and fields[0] == "Z" and int(fields[1]) == os.getpid() and pid not in own:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
