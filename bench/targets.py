"""What is to be reached, and whether it was."""

import tables as t

NOISE = 0.005  # a slowdown that can't be told from none even if two runs happen to be the same


class Target:
    def __init__(self, part, name, limit, text=t.seconds):
        self.part, self.name, self.limit, self.text = part, name, limit, text
        self.found = []  # (where, value)

    def add(self, where, value):
        if value is not None:
            self.found.append((where, value))

    def met(self):
        """None: not measured."""
        return all(value <= self.limit for _, value in self.found) if self.found else None

    def result(self):
        return {"target": self.name, "limit": self.limit, "met": self.met(),
                "limit_text": "<= " + self.text(self.limit),
                "measured": [{"where": where, "value": value, "text": self.text(value)}
                             for where, value in self.found]}


def rows(results, part, **such):
    return [r for r in results.get(part) or []
            if all(r.get(key) == value for key, value in such.items())]


def pauses(results):
    for mib, limit in ((64, 0.003), (1024, 0.005), (4096, 0.010), (12288, 0.025)):
        one = Target("memory", "pause, idle program, %s" % t.mib(mib), limit)
        for row in rows(results, "memory", mib=mib):
            one.add(row["place"], row["pause_seen"])
        yield one
    for rate, text, limit in ((10000, "writing 10,000 pages a second", 0.020),
                              (None, "rewriting all its memory as fast as it can", 0.100)):
        one = Target("rates", "pause, program %s, 4 GiB" % text, limit)
        for row in rows(results, "rates", mib=4096, rate=rate):
            one.add(row["place"], row["pause_seen"])
        yield one


def totals(results):
    write = Target("memory", "total, uncompressed, against a plain write of as much (and sync)",
                   1.25, t.ratio)
    for row in rows(results, "memory"):
        write.add("%s, %s" % (t.mib(row["mib"]), row["place"]), row["checkpoint_ratio"])
    yield write
    codec = Target("codecs", "total, default codec, half compressible, disk, against uncompressed",
                   1.0, t.ratio)
    plain = rows(results, "codecs", codec="none", place="disk")
    for row in rows(results, "codecs", codec="default", place="disk"):
        if plain:
            codec.add(t.mib(row["mib"]), row["total"] / plain[0]["total"])
    yield codec


def increments(results):
    found = rows(results, "increments", mib=4096, share=0.01)
    for key, name, limit, text in (("bytes_ratio", "bytes", 1 / 30, t.share),
                                   ("time_ratio", "time", 1 / 30, t.share),
                                   ("pause_seen", "pause", 0.010, t.seconds)):
        one = Target("increments", "increment, 1 %% of 4 GiB changed: %s%s" % (
            name, "" if name == "pause" else ", against the full one"), limit, text)
        for row in found:
            one.add(row["place"], row[key])
        yield one


def restarts(results):
    eager = Target("memory", "restart, eager, against a plain read of the same bytes", 1.2, t.ratio)
    lazy = Target("lazy", "restart on demand, 4 GiB, to the first instruction", 0.030)
    level = Target("lazy", "restart on demand, to the first instruction, any size", 0.030)
    for row in rows(results, "memory"):
        eager.add("%s, %s" % (t.mib(row["mib"]), row["place"]), row["restart_ratio"])
    for row in rows(results, "lazy"):
        first = row["lazy_first_instruction"]
        if row["mib"] == 4096:
            lazy.add(row["place"], first)
        level.add(t.mib(row["mib"]), first)
    return eager, lazy, level


def against(results):
    """Ratios of crs to CRIU."""
    pause = Target("peers", "pause against CRIU in the same run, 1 GiB", 1 / 100, t.share)
    total = Target("peers", "total against CRIU in the same run", 1.0, t.ratio)
    restart = Target("peers", "restart against CRIU in the same run (fully there)", 1.0, t.ratio)
    for row in rows(results, "peers", tool="CRIU"):
        where = "%s, %s" % (t.mib(row["mib"]), row["place"])
        if row["mib"] == 1024 and row.get("pause_seen_times"):
            pause.add(where, 1 / row["pause_seen_times"])
        if row.get("total_times"):
            total.add(where, 1 / row["total_times"])
            restart.add(where, 1 / row["fully_there_times"])
    return pause, total, restart


def slowdowns(results):
    spreads = {r["program"]: r["between_spread"] for r in rows(results, "slowdown", job=False)
               if "between_spread" in r}
    noise = max([NOISE, *spreads.values()])
    off = Target("slowdown", "slowdown of a job without checkpoints (0: two runs that are none "
                 "differ by so much)", noise, t.share)
    on = Target("slowdown", "slowdown between checkpoints, one a minute", 0.01, t.share)
    kernel = Target("slowdown", "the same, as more of the kernel's time in the program", 0.01,
                    t.share)
    for row in rows(results, "slowdown"):
        if row["program"] == "redis" or not row["job"]:
            continue
        if row["interval"] is None:
            off.add(row["program"], row["slowdown_between"])
        elif row["interval"] >= 60:
            on.add(row["program"], row["slowdown_between"])
            if "kernel_more" in row:
                kernel.add(row["program"], row["kernel_more"])
    return off, on, kernel


def all_of(results, parts):
    """Of these parts."""
    found = [*pauses(results), *totals(results), *increments(results), *restarts(results),
             *against(results), *slowdowns(results)]
    return [target.result() for target in found if target.part in parts]


def show(found):
    words = {True: "yes", False: "NO", None: "not measured"}
    return ("What is to be reached",
            ["target", "limit", "measured", "met"],
            [[f["target"], f["limit_text"],
              "; ".join("%(where)s: %(text)s" % m for m in f["measured"]) or "-", words[f["met"]]]
             for f in found])
