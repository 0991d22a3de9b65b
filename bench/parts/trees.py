"""What each process of a tree and each thread of a process costs."""

import json
import os
import shutil
import signal
import subprocess
import tempfile

import tables as t
from measure import Failed, Stolen, run_counted, wait_for, wait_gone

NUMBERS = (1, 10, 100, 1000)


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
        self.reap_all()
        self.child = self.pid = None

    def close(self):
        if self.pid is not None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            wait_gone(self.pid)
            self.ended()
        shutil.rmtree(self.dir, ignore_errors=True)

    def reap_all(self):
        """The others of the group: orphans, that are children of ours now."""
        try:
            while True:
                os.waitpid(-self.pid, 0)
        except ChildProcessError:
            pass


def one_round(crs, program, work, place, n_processes, n_threads):
    """Seconds: the pause, the checkpoint, the restart, and of the processor for both.

    The PIDs are new ones: then the tool itself does all the work, and its time is seen.
    """
    path = place.path("tree")
    family = Family(program, work, n_processes, n_threads)
    try:
        stolen = Stolen()
        out, checkpoint, checkpoint_cpu = run_counted(
            [crs, "checkpoint", "--json", "--output", path, "--terminate", str(family.pid)])
        told = json.loads(out)
        if (told["processes"], told["threads"]) != (n_processes, n_processes * n_threads):
            raise Failed("%(processes)d processes and %(threads)d threads were saved" % told)
        family.ended()
        out, restart, restart_cpu = run_counted(
            [crs, "restart", "--json", "--detach", "--pids=new", path])
        family.pid = json.loads(out)["pid"]
        return {"stolen": stolen.share(), "pause": told["pause_us"] / 1e6, "checkpoint": checkpoint,
                "checkpoint_cpu": checkpoint_cpu, "restart": restart, "restart_cpu": restart_cpu,
                "bytes": told["size_bytes"]}
    finally:
        family.close()
        shutil.rmtree(path, ignore_errors=True)


def row(session, kind, n):
    """The medians for so many processes, or threads of one process; None: it failed."""
    numbers = (n, 1) if kind == "processes" else (1, n)
    result = session.medians(
        "trees: %d %s" % (n, kind), min(session.a.runs, 3) if n >= 1000 else session.a.runs,
        lambda: one_round(session.crs, session.programs["family"], session.work,
                          session.places[0], *numbers))
    return dict(result, kind=kind, n=n) if result else None


def measure(session):
    rows = []
    for kind in ("processes", "threads"):
        first = None
        for n in NUMBERS:
            one = row(session, kind, n) if n * session.a.fewer <= NUMBERS[-1] else None
            if one is None:
                continue
            first = first or one
            for key in ("checkpoint", "restart"):
                one[key + "_each"] = one[key + "_cpu"] / n
                one[key + "_ratio"] = one[key + "_each"] / first[key + "_each"]
            rows.append(one)
    return rows


def show(results):
    return [("A tree of processes, and a process of threads",
             ["number", "of", "pause", "checkpoint", "processor|time", "for|each", "ratio",
              "restart", "processor|time", "for|each", "ratio", "snapshot"],
             [[r["n"], r["kind"], t.seconds(r["pause"]), t.seconds(r["checkpoint"]),
               t.seconds(r["checkpoint_cpu"]), t.seconds(r["checkpoint_each"]),
               t.ratio(r["checkpoint_ratio"]), t.seconds(r["restart"]),
               t.seconds(r["restart_cpu"]), t.seconds(r["restart_each"]),
               t.ratio(r["restart_ratio"]), t.size(r["bytes"])]
              for r in results["trees"]])]
