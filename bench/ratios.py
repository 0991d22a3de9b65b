"""All that was measured, in one table: each beside what it is to be compared with."""

import tables as t


def of_memory(rows):
    for r in rows:
        where = "%s, %s" % (t.mib(r["mib"]), r["place"])
        yield "checkpoint", where, "total", r["total"], "plain write", r["plain_write"]
        yield "checkpoint", where, "pause", r["pause_seen"], "total", r["total"]
        yield "restart", where, "fully there", r["fully_there"], "plain read", r["plain_read"]


def of_lazy(rows):
    for r in rows:
        if r.get("fully_there"):
            yield ("restart on demand", "%s, %s" % (t.mib(r["mib"]), r["place"]),
                   "first instruction", r["lazy_first_instruction"], "eager, fully there",
                   r["fully_there"])


def of_rates(rows):
    for r in rows:
        idle = [other for other in rows if other["mib"] == r["mib"]
                and other["place"] == r["place"] and other["rate"] == 0]
        if idle and r["rate"] != 0:
            rate = "all" if r["rate"] is None else "{:,}".format(r["rate"])
            yield ("pages written a second: " + rate, "%s, %s" % (t.mib(r["mib"]), r["place"]),
                   "pause", r["pause_seen"], "nothing written", idle[0]["pause_seen"])


def of_increments(rows):
    for r in rows:
        if r["share"] is not None:
            first = next(o for o in rows if o["mib"] == r["mib"] and o["place"] == r["place"]
                         and o["share"] is None)
            what = "increment, %g %% changed" % (100 * r["share"])
            where = "%s, %s" % (t.mib(r["mib"]), r["place"])
            yield what, where, "total", r["total"], "the first", first["total"]
            yield (what, where, "new bytes", r["new_bytes"], "the first", first["new_bytes"],
                   t.size)


def of_codecs(rows):
    plain = [r for r in rows if r["codec"] == "none"]
    for r in rows if plain else []:
        if r is not plain[0]:
            what, where = "codec " + r["codec"], "%s, %s" % (t.mib(r["mib"]), r["place"])
            yield what, where, "total", r["total"], "codec none", plain[0]["total"]
            yield what, where, "snapshot", r["bytes"], "codec none", plain[0]["bytes"], t.size


def of_trees(rows):
    for kind in ("processes", "threads"):
        of = [r for r in rows if r["kind"] == kind]
        for key in ("checkpoint", "restart") if len(of) > 1 else ():
            yield ("%s of %d %s" % (key, of[-1]["n"], kind), "", "processor time for each",
                   of[-1][key + "_each"], "for one alone", of[0][key + "_each"])


def of_slowdown(rows):
    for r in rows:
        plain = next(o for o in rows if o["program"] == r["program"] and o["interval"] is None
                     and (o["job"] or r["program"] == "redis"))
        if r["interval"] and r["program"] == "redis":
            yield ("Redis, a checkpoint every %g s" % r["interval"], r["place"], "p99 of answers",
                   r["p99"], "without", plain["p99"])
        elif r["interval"]:
            for key, name in (("in_all", "for a piece of work"),
                              ("between", "the same, between checkpoints")):
                yield ("%s, a checkpoint every %g s" % (r["program"], r["interval"]), r["place"],
                       name, 1 / r[key], "without", 1 / plain[key])


def of_peers(rows):
    for r in rows:
        crs = [o for o in rows if o["tool"] == "crs" and
               (o["mib"], o["place"]) == (r["mib"], r["place"])]
        for key, name in (("pause_seen", "pause"), ("total", "total"),
                          ("fully_there", "restart, fully there")):
            if r["tool"] != "crs" and crs:
                yield ("crs", "%s, %s" % (t.mib(r["mib"]), r["place"]), name, crs[0][key],
                       r["tool"], r[key])


OF = {"memory": of_memory, "lazy": of_lazy, "rates": of_rates, "increments": of_increments,
      "codecs": of_codecs, "trees": of_trees, "slowdown": of_slowdown, "peers": of_peers}


def small(seconds):
    """Pieces of work are shorter than a microsecond."""
    return t.seconds(seconds) if seconds >= 1e-4 else "%.3g us" % (seconds * 1e6)


def all_of(results):
    """(what, where, measured, its value, against, that value, ratio, both as text)"""
    found = []
    for part, function in OF.items():
        for what, where, name, value, against, other, *text in function(results.get(part) or []):
            show = text[0] if text else small
            found.append({"what": what, "where": where, "measured": name, "value": value,
                          "against": against, "other": other, "texts": [show(value), show(other)],
                          "ratio": value / other if other else None})
    return found


def ratio_text(value):
    return "-" if value is None else "%.3g" % value


def show(found):
    return ("Everything as ratios",
            ["what", "where", "measured", "", "against", "", "ratio"],
            [[f["what"], f["where"], f["measured"], f["texts"][0], f["against"], f["texts"][1],
              ratio_text(f["ratio"])] for f in found])
