"""What each process of a tree and each thread of a process costs."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from measure import Failed, wait_for


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
        if child.returncode != 0:
            words = err.read().strip().splitlines()
            raise Failed("%s: exit code %d%s" % (" ".join(command[:2]), child.returncode,
                                                 ": " + words[-1] if words else ""))
        return out.read(), seconds, usage.ru_utime + usage.ru_stime


class Family:
    """bench/family.c, running; a restarted one too. All of it is one process group."""

    def __init__(self, program, base, n_processes, n_threads):
        self.dir = tempfile.mkdtemp(prefix="family.", dir=base)
        words = os.path.join(self.dir, "words")
        with open(words, "w") as stderr:
            self.child = subprocess.Popen(
                [program, self.dir, str(n_processes), str(n_threads)], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True)
        self.pid = self.child.pid
        try:
            wait_for(os.path.join(self.dir, "ready"), 300, lambda: self.child.poll() is None)
        except Failed as e:
            with open(words) as f:
                said = f.read().strip()
            self.close()
            raise Failed(said or str(e)) from None

    def ended(self):
        if self.child:
            self.child.wait(120)
        self.child = self.pid = None

    def close(self):
        if self.pid is not None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            until = time.monotonic() + 120
            while not self.child and os.path.exists("/proc/%d" % self.pid):
                if time.monotonic() > until:
                    break
                time.sleep(0.01)
            self.ended()
        shutil.rmtree(self.dir, ignore_errors=True)


def measure(crs, program, work, place, n_processes, n_threads):
    """Seconds: the pause, the checkpoint, the restart, and of the processor for both.

    The PIDs are new ones: then the tool itself does all the work, and its time is seen.
    """
    path = place.path("tree")
    family = Family(program, work, n_processes, n_threads)
    try:
        out, checkpoint, checkpoint_cpu = run_counted(
            [crs, "checkpoint", "--json", "--output", path, "--terminate", str(family.pid)])
        told = json.loads(out)
        if (told["processes"], told["threads"]) != (n_processes, n_processes * n_threads):
            raise Failed("%(processes)d processes and %(threads)d threads were saved" % told)
        family.ended()
        out, restart, restart_cpu = run_counted([crs, "restart", "--json", "--detach", "--pids=new", path])
        family.pid = json.loads(out)["pid"]
        return {"pause": told["pause_us"] / 1e6, "checkpoint": checkpoint,
                "checkpoint_cpu": checkpoint_cpu, "restart": restart, "restart_cpu": restart_cpu,
                "bytes": told["size_bytes"]}
    finally:
        family.close()
        shutil.rmtree(path, ignore_errors=True)
