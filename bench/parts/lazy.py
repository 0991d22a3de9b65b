"""Restart on demand over the size of memory, beside an eager one of the same snapshot.

Made as root where root has started this: most kernels permit it to nobody else.
"""

import tables as t
from measure import IDLE, Failed, Holder
from tools import Crs


def why_not(session, place):
    """Tried with a small program."""
    if "--lazy" not in session.features["restart"]:
        return "this crs has no restart --lazy"
    tool, path = Crs(session.crs), place.path("snapshot")
    holder = Holder(session.programs["holder"], session.work, "--mib", 1)
    try:
        tool.checkpoint(holder.pid, path)
        holder.kill()
        holder.restart(tool, path, lazy=True)
        return tool.why_not_lazy
    except Failed as e:
        return str(e)
    finally:
        holder.close()
        tool.remove(path)


def row(session, place, mib):
    result = session.rounds("on demand, %s, %s" % (t.mib(mib), place.name), place,
                            Crs(session.crs, freeze=session.a.freeze), ["--mib", mib, *IDLE],
                            min(session.a.runs, 3),
                            eager=mib < 8192, lazy=True)
    return dict(result, mib=mib, place=place.name) if result else None


def measure(session):
    rows, place = [], session.places[0]
    why = why_not(session, place)
    if why:
        session.skip("restart on demand", why)
        return rows
    for mib in session.a.sizes:
        where = place if mib < 8192 else session.places[-1]
        if session.room("on demand, %s, %s" % (t.mib(mib), where.name), where, mib, 1.0):
            rows.append(row(session, where, mib))
    return [r for r in rows if r]


def show(results):
    who = ", as root" if "lazy" in results.get("as_root", []) else ""
    return [("Restart on demand, and eager, of the same snapshots (not compressed)" + who,
             ["memory", "where", "on demand: first|instruction", "fully|there",
              "eager: first|instruction", "fully|there"],
             [[t.mib(r["mib"]), r["place"], t.seconds(r["lazy_first_instruction"]),
               t.seconds(r["lazy_fully_there"]), t.seconds(r.get("first_instruction")),
               t.seconds(r.get("fully_there"))] for r in results["lazy"]])]
