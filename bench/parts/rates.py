"""Pause and total over the rate at which the program writes to its pages."""

import tables as t
from tools import Crs

RATES = (0, 100, 1000, 10000, 100000, None)  # pages a second; None: as fast as it can
LARGE_RATES = (10000, None)


def rate_text(rate):
    return "all, as fast as it can" if rate is None else "{:,}".format(rate)


def row(session, place, mib, rate):
    what = "%s, %s, pages written a second: %s" % (t.mib(mib), place.name, rate_text(rate))
    options = ["--mib", mib] + (["--rewrite"] if rate is None else ["--rate", rate])
    result = session.rounds(what, place, Crs(session.crs, freeze=session.a.freeze), options,
                            min(session.runs_of(mib), 2 if mib == 1024 else 3))
    return dict(result, mib=mib, place=place.name, rate=rate) if result else None


def measure(session):
    """The curve in one place, two points of it with much memory in each."""
    todo, rows = [(session.a.curve_mib, session.places[0], RATES)], []
    if session.a.large_mib != session.a.curve_mib:
        todo += [(session.a.large_mib, place, LARGE_RATES) for place in session.places]
    for mib, place, rates in todo:
        if session.room("rates, %s, %s" % (t.mib(mib), place.name), place, mib, 3.0):
            rows += [row(session, place, mib, rate) for rate in rates]
    return [r for r in rows if r]


def show(results):
    return [("Checkpoints of a program that writes to its memory meanwhile (not compressed)",
             ["memory", "where", "pages written|a second", "stolen", "gap|before", "pause|(seen)",
              "the|machine's", "sum of|gaps", "pause|(told)", "how", "total", "snapshot"],
             [[t.mib(r["mib"]), r["place"], rate_text(r["rate"]), t.share(r.get("stolen")),
               t.seconds(r["gap_before"]), t.seconds(r["pause_seen"]),
               t.seconds(r.get("gap_of_machine")), t.seconds(r["gaps_seen"]),
               t.seconds(r["pause_told"]), r["freeze"] or "-", t.seconds(r["total"]),
               t.size(r["bytes"])] for r in results["rates"]])]
