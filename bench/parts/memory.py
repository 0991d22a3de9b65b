"""Pause, total and eager restart over the size of memory, beside plain writes and reads."""

import tables as t
from measure import IDLE
from tools import Crs

WRITE_LIMIT, READ_LIMIT = 1.25, 1.2


def row(session, place, mib):
    what = "%s, %s" % (t.mib(mib), place.name)
    tool = Crs(session.crs, freeze=session.a.freeze)
    options = ["--mib", mib, *IDLE] + (["--huge"] if session.a.huge else [])
    result = session.rounds(what, place, tool, options, session.runs_of(mib),
                            plain=2 if mib < 8192 else 1)
    if result is None:
        return None
    return dict(result, mib=mib, place=place.name,
                checkpoint_ratio=result["total"] / result["plain_write"],
                restart_ratio=result["fully_there"] / result["plain_read"])


def measure(session):
    rows = []
    for mib in session.a.sizes:
        for place in session.places:
            if mib >= 8192 and place.in_memory() and session.places[-1] is not place:
                continue  # there is no room for that in memory, as a rule
            if session.room("%s, %s" % (t.mib(mib), place.name), place, mib):
                rows.append(row(session, place, mib))
    return [r for r in rows if r]


def show(results):
    rows = results["memory"]
    return [
        ("Checkpoints of an idle program that holds incompressible memory (not compressed)",
         ["memory", "where", "stolen", "gap|before", "pause|(seen)", "the|machine's", "sum of|gaps",
          "pause|(told)", "how", "total", "processor|time", "plain|write", "ratio", "snapshot",
          "the tool's|memory"],
         [[t.mib(r["mib"]), r["place"], t.share(r.get("stolen")), t.seconds(r["gap_before"]),
           t.seconds(r["pause_seen"]), t.seconds(r.get("gap_of_machine")),
           t.seconds(r["gaps_seen"]), t.seconds(r["pause_told"]), r["freeze"] or "-",
           t.seconds(r["total"]), t.seconds(r["cpu"]), t.seconds(r["plain_write"]),
           t.ratio(r["checkpoint_ratio"], WRITE_LIMIT),
           t.size(r["bytes"]), t.size(r.get("peak_memory_bytes"))] for r in rows]),
        ("Restarts of the same",
         ["memory", "where", "stolen", "first|instruction", "fully|there", "plain|read", "ratio"],
         [[t.mib(r["mib"]), r["place"], t.share(r.get("restart_stolen")),
           t.seconds(r["first_instruction"]), t.seconds(r["fully_there"]), t.seconds(r["plain_read"]),
           t.ratio(r["restart_ratio"], READ_LIMIT)] for r in rows])]
