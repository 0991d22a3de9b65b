"""Bytes, time and pause of the next checkpoint of a job, over the share of pages that changed."""

import shutil

import tables as t
from measure import IDLE, Failed, Holder, take_checkpoint
from session import calmest, disturbance, repeat
from tools import Crs

SHARES = (0.001, 0.01, 0.1, 0.5, 1.0)
NAME = "held"


def chain(session, place, mib, shares):
    """The first checkpoint of a job, one after each change, and a restart from each of them."""
    store = place.path("store")
    tool = Crs(session.crs, freeze=session.a.freeze, options=["--dir", store])
    holder = Holder(session.programs["holder"], session.work, "--mib", mib, *IDLE,
                    before=tool.job(store, NAME))
    try:
        done = []
        for share in (None, *shares):
            changed = holder.change(share) if share else None
            result = take_checkpoint(tool, holder, NAME)
            done.append(dict(result, share=share, changed_pages=changed))
        holder.check()
        holder.kill()
        for result in done:
            result.update(holder.restart(tool, result.pop("path"), session.a.cold))
            holder.kill()
        return done
    finally:
        holder.close()
        shutil.rmtree(store, ignore_errors=True)


def rows_of(session, place, mib, shares):
    n = min(session.runs_of(mib), 2)
    what = "increments, %s, %s" % (t.mib(mib), place.name)
    session.say("%s: %d run%s" % (what, n, "s" if n > 1 else ""))
    try:
        chains = repeat(n, lambda: chain(session, place, mib, shares),
                        lambda done: max(map(disturbance, done)))
    except Failed as e:
        session.fail(what, e)
        return []
    rows = []
    for rounds in (calmest(n, of) for of in zip(*chains)):
        rows.append(dict(session.median_of(rounds), rounds=list(rounds), mib=mib,
                         place=place.name))
        for key, of in (("bytes_ratio", "new_bytes"), ("time_ratio", "total")):
            rows[-1][key] = rows[-1][of] / rows[0][of]
    return rows


def measure(session):
    """The curve in one place, one point of it with much memory in each."""
    todo, rows = [(session.a.curve_mib, session.places[0], SHARES)], []
    if session.a.large_mib != session.a.curve_mib:
        todo += [(session.a.large_mib, place, (0.01,)) for place in session.places]
    for mib, place, shares in todo:
        if session.room("increments, %s, %s" % (t.mib(mib), place.name), place, mib,
                        1.2 + len(shares)):
            rows += rows_of(session, place, mib, shares)
    return rows


def share_text(share):
    return "(first)" if share is None else "%g %%" % (share * 100)


def show(results):
    return [("The next checkpoints of a job, of whose pages a share has changed (not compressed)",
             ["memory", "where", "changed", "new bytes", "of the|first", "total", "of the|first",
              "pause|(seen)", "how", "restart: first|instruction", "fully|there"],
             [[t.mib(r["mib"]), r["place"], share_text(r["share"]), t.size(r["new_bytes"]),
               t.share(r["bytes_ratio"]), t.seconds(r["total"]), t.share(r["time_ratio"]),
               t.seconds(r["pause_seen"]), r["freeze"] or "-", t.seconds(r["first_instruction"]),
               t.seconds(r["fully_there"])] for r in results["increments"]])]
