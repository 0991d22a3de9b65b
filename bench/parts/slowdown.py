"""What checkpoints at an interval cost programs that work: one that computes, one that reads and
writes all over its memory, and a Redis under load."""

import os
import shutil
import signal
import subprocess
import time

import tables as t
from measure import Failed, Program, run
from tools import Crs

NAME = "working"
RATE, KEYS_EACH_MIB = 10000, 6000  # requests a second; keys of 100 bytes


def windows(session):
    """(interval or None, seconds): first without a checkpoint, then with one each interval."""
    first = session.a.intervals[0]
    return [(None, max(first // 2, 2))] + [(each, max(each, 2 * first)) for each in
                                      session.a.intervals]


def with_checkpoints(tool, interval, seconds):
    """Checkpoints of the job during a window; what the tool says, and when (ns)."""
    done, begin = [], time.monotonic()
    for i in range(round(seconds / interval) if interval else 0):
        time.sleep(max(0, begin + i * interval - time.monotonic()))
        at = time.monotonic_ns()
        result = tool.checkpoint(NAME)
        done.append(dict(result, begin_ns=at, end_ns=time.monotonic_ns()))
        if len(done) > 1:
            shutil.rmtree(done[-2]["path"], ignore_errors=True)
    time.sleep(max(0, begin + seconds - time.monotonic()))
    return done


def summary(done):
    keys = ("pause_told", "total", "new_bytes")
    return {"checkpoints": len(done),
            **{key: sorted(d[key] for d in done)[len(done) // 2] if done else None
               for key in keys}}


# ---- programs of our own ----

class Worker(Program):
    def __init__(self, session, kind, before=()):
        super().__init__([session.programs["worker"], "{dir}", kind, session.a.work_mib],
                         session.work, before)

    def slots(self):
        """(end in ns, pieces of work, ns of the processor, longest gap in ns, ns of the processor in
        the kernel, page faults) of each 10 ms since it was last asked."""
        self.order("slots")
        with open(self.path("slots")) as f:
            return [tuple(map(int, line.split())) for line in f]


def speeds(slots, done):
    """Pieces of work a second of the clock, in all; a second of the processor, between checkpoints
    (a slot that ends within one, or right after it, is none of those)."""
    if len(slots) < 3:
        raise Failed("the program did not work")
    seconds = (slots[-1][0] - slots[0][0]) / 1e9
    quiet = [s for s in slots if not any(d["begin_ns"] <= s[0] <= d["end_ns"] + 10000000
                                         for d in done)]
    quiet = quiet or slots
    return {"in_all": sum(s[1] for s in slots[1:]) / seconds,
            "between": sum(s[1] for s in quiet) / (sum(s[2] for s in quiet) / 1e9),
            "kernel": sum(s[4] for s in quiet) / sum(s[2] for s in quiet),
            "faults": sum(s[5] for s in quiet),
            "longest_gap": max(s[3] for s in slots) / 1e9}


def window(worker, tool, interval, seconds):
    worker.slots()
    done = with_checkpoints(tool, interval, seconds)
    return dict(speeds(worker.slots(), done), **summary(done))


def alone(session, kind, tool):
    """The same program, which is no job."""
    worker = Worker(session, kind)
    try:
        return dict(window(worker, tool, *windows(session)[0]), job=False, interval=None)
    finally:
        worker.close()


def as_job(session, kind, tool, store):
    worker = Worker(session, kind, tool.job(store, NAME))
    try:
        return [dict(window(worker, tool, interval, seconds), job=True, interval=interval)
                for interval, seconds in windows(session)]
    finally:
        worker.close()
        shutil.rmtree(store, ignore_errors=True)


def worker_rows(session, kind, place):
    """A job without checkpoints is compared with the mean of two programs that are none, before and
    after it; a job with checkpoints with itself, before the first."""
    store = place.path("store")
    tool = Crs(session.crs, None, session.a.freeze, ["--dir", store])
    before = alone(session, kind, tool)
    jobs = as_job(session, kind, tool, store)
    after = alone(session, kind, tool)
    plain = dict(before, rounds=[before, after], longest_gap=max(before["longest_gap"],
                                                                 after["longest_gap"]))
    for key in ("in_all", "between", "kernel"):
        plain[key] = (before[key] + after[key]) / 2
    for key in ("in_all", "between"):
        plain[key + "_spread"] = abs(before[key] - after[key]) / plain[key]
    rows = [plain, *jobs]
    for row in rows:
        base = jobs[0] if row["interval"] else plain
        row.update(program=kind, mib=session.a.work_mib, place=place.name,
                   slowdown=1 - row["in_all"] / base["in_all"],
                   slowdown_between=1 - row["between"] / base["between"],
                   kernel_more=row["kernel"] - base["kernel"])
    return rows


# ---- Redis ----

class Redis:
    """A server as a job, with so much data."""

    def __init__(self, session, before, n_keys):
        self.dir = os.path.join(session.work, "redis")
        os.mkdir(self.dir)
        self.socket, self.child = os.path.join(self.dir, "s"), None
        try:
            with open(os.path.join(self.dir, "log"), "w") as log:
                self.child = subprocess.Popen(
                    [*before, "redis-server", "--port", "0", "--unixsocket", self.socket,
                     "--save", "", "--appendonly", "no", "--enable-debug-command", "yes",
                     "--dir", self.dir],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            until = time.monotonic() + 20
            while not os.path.exists(self.socket):
                if time.monotonic() > until or self.child.poll() is not None:
                    raise Failed("redis-server did not start")
                time.sleep(0.01)
            self.ask("DEBUG", "POPULATE", str(n_keys), "key", "100")
        except BaseException:
            self.close()
            raise

    def ask(self, *words):
        return run(["redis-cli", "-s", self.socket, *words])[0].strip()

    def close(self):
        if self.child and self.child.poll() is None:
            try:
                self.ask("SHUTDOWN", "NOSAVE")
            except Failed:
                pass
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def redis_window(session, redis, tool, n_keys, interval, seconds):
    load = subprocess.Popen([session.programs["redis_load"], redis.socket, str(seconds),
                             str(RATE), str(n_keys)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        done = with_checkpoints(tool, interval, seconds)
        out, err = load.communicate(timeout=60)
    finally:
        if load.poll() is None:
            load.kill()
            load.wait()
    if load.returncode != 0:
        raise Failed(err.strip())
    n, *ns = map(float, out.split())
    names = ("mean", "p50", "p99", "p99_9", "longest")
    return dict(zip(names, [x / 1e9 for x in ns]), requests=int(n), **summary(done))


def redis_rows(session, place):
    store, n_keys = place.path("store"), session.a.work_mib * KEYS_EACH_MIB
    tool = Crs(session.crs, None, session.a.freeze, ["--dir", store, "--unix=close"])
    rows = []
    try:
        for job in (False, True):
            redis = Redis(session, tool.job(store, NAME) if job else [], n_keys)
            try:
                for interval, seconds in windows(session)[:None if job else 1]:
                    one = redis_window(session, redis, tool, n_keys, interval, seconds)
                    rows.append(dict(one, job=job, interval=interval))
                if redis.ask("DBSIZE") != str(n_keys):
                    raise Failed("the server has lost keys")
            finally:
                redis.close()
    finally:
        shutil.rmtree(store, ignore_errors=True)
    return [dict(row, program="redis", rate=RATE, keys=n_keys, place=place.name) for row in rows]


# ---- all ----

def measure(session):
    rows, place = [], session.places[-1]
    seconds = sum(w[1] for w in windows(session)) + 2 * windows(session)[0][1]
    for kind in ("cpu", "memory", "redis"):
        if kind == "redis" and not (shutil.which("redis-server") and shutil.which("redis-cli")):
            session.skip("slowdown of redis", "redis-server and redis-cli are not installed "
                         "(tools/deps bench gets them)")
            continue
        if not session.room("slowdown, " + kind, place, session.a.work_mib, 4):
            continue
        session.say("slowdown, %s: %d seconds" % (kind, seconds))
        try:
            rows += redis_rows(session, place) if kind == "redis" else \
                worker_rows(session, kind, place)
        except Failed as e:
            session.fail("slowdown, " + kind, e)
    return rows


def how_text(row):
    if row["interval"]:
        return "one every %g s" % row["interval"]
    return "none, a job" if row["job"] else "none, no job"


def slower(row, key, of):
    """Of what all is compared with: how far it differs from itself."""
    spread = row.get(of + "_spread")
    return t.share(row[key]) if spread is None else "+- " + t.share(spread / 2)


def show(results):
    workers = [r for r in results["slowdown"] if r["program"] != "redis"]
    redis = [r for r in results["slowdown"] if r["program"] == "redis"]
    head = ["checkpoints", "number", "pause|(told)", "total", "new bytes"]
    tables = []

    def cells(r):
        return [how_text(r), r["checkpoints"], t.seconds(r["pause_told"]), t.seconds(r["total"]),
                t.size(r["new_bytes"])]

    if workers:
        tables.append((
            "Programs that work (cpu: they compute; memory: they read and write all over %s), with "
            "checkpoints on %s" % (t.mib(workers[0]["mib"]), workers[0]["place"]),
            ["program", *head, "longest|gap", "slower,|in all", "slower, between|checkpoints",
             "page|faults", "more time|in the kernel"],
            [[r["program"], *cells(r), t.seconds(r["longest_gap"]), slower(r, "slowdown", "in_all"),
              slower(r, "slowdown_between", "between"),
              "{:,}".format(r["faults"]) if "faults" in r else "-",
              t.share(r["kernel_more"]) if r["job"] and "kernel_more" in r else "-"]
             for r in workers]))
    if redis:
        tables.append((
            "Redis with {:,} keys, asked {:,} times a second, with checkpoints on {}".format(
                redis[0]["keys"], redis[0]["rate"], redis[0]["place"]),
            [*head, "answers: mean", "p50", "p99", "p99.9", "longest"],
            [[*cells(r), *(t.seconds(r[key]) for key in ("mean", "p50", "p99", "p99_9",
                                                         "longest"))] for r in redis]))
    return tables
