"""What each thread, mapping and descriptor of one process costs."""

import resource

import tables as t
from measure import IDLE
from tools import Crs

KINDS = (("threads", (1, 64, 256)), ("mappings", (100, 20000)), ("descriptors", (10, 2000)))


def why_not(kind, n):
    if kind == "descriptors" and resource.getrlimit(resource.RLIMIT_NOFILE)[1] < n + 1024:
        return "the hard limit of open files is lower"
    if kind == "mappings":
        with open("/proc/sys/vm/max_map_count") as f:
            if int(f.read()) < n + 1000:
                return "vm.max_map_count is lower"
    return None


def row(session, kind, n):
    what = "%d %s" % (n, kind)
    why = why_not(kind, n)
    if why:
        session.skip(what, why)
        return None
    more = n - 1 if kind == "threads" else n
    result = session.rounds(what, session.places[0], Crs(session.crs),
                            ["--mib", 1, "--" + kind, more, *IDLE], session.a.runs)
    return dict(result, kind=kind, n=n) if result else None


def measure(session):
    rows = []
    for kind, numbers in KINDS:
        first = None
        for n in sorted({max(1, n // session.a.fewer) for n in numbers}):
            one = row(session, kind, n)
            if one is None:
                continue
            first = first or one
            for key in ("pause_seen", "first_instruction"):
                one[key + "_each"] = ((one[key] - first[key]) / (one["n"] - first["n"])
                                      if one["n"] > first["n"] else None)
            rows.append(one)
    return rows


def show(results):
    return [("What each object costs, beside 1 MiB of memory",
             ["number", "of", "pause", "for|each", "total", "restart: first|instruction",
              "for|each", "snapshot"],
             [[r["n"], r["kind"], t.seconds(r["pause_seen"]), t.seconds(r["pause_seen_each"]),
               t.seconds(r["total"]), t.seconds(r["first_instruction"]),
               t.seconds(r["first_instruction_each"]), t.size(r["bytes"])]
              for r in results["objects"]])]
