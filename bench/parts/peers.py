"""Other tools beside crs: the same program, the same places, in turn."""

import shutil

import tables as t
from measure import IDLE, Failed, Round
from session import calmest, disturbance, median_of, repeat
from tools import Criu, Crs


def find_tools(session):
    tools, criu = [Crs(session.crs, freeze=session.a.freeze)], Criu(session.a.build)
    why = criu.why_not()
    if why:
        session.skip("CRIU", why)
    else:
        tools.append(criu)
        session.versions["CRIU"] = criu.version()
    session.skip("DMTCP", "a program has to be started by it, which isn't done here"
                 if shutil.which("dmtcp_launch") else
                 "dmtcp_launch is not installed (today's Debian has no package)")
    return tools


def in_turn(session, place, mib, tools):
    """Rounds of each tool; who fails isn't asked again."""
    n, left, order = session.runs_of(mib), list(tools), [1]
    session.say("%s, %s, %s: %d of each" % (t.mib(mib), place.name,
                                            ", ".join(tool.name for tool in tools), n))

    def each():
        done = {}
        for tool in left[::order[0]]:
            try:
                done[tool.name] = Round(session, place, tool, ["--mib", mib, *IDLE],
                                        plain=2).measure()
            except Failed as e:
                session.fail("%s, %s, %s" % (t.mib(mib), place.name, tool.name), e)
                left.remove(tool)
        order[0] = -order[0]
        return done

    turns = repeat(n, each, lambda turn: max(map(disturbance, turn.values()), default=0.0))
    rounds = {tool.name: calmest(n, [turn[tool.name] for turn in turns]) for tool in left}
    return {name: dict(median_of(done), rounds=done) for name, done in rounds.items()}


def rows_of(session, place, mib, tools):
    medians = in_turn(session, place, mib, tools)
    rows = []
    for name, result in medians.items():
        row = dict(result, tool=name, mib=mib, place=place.name)
        row["checkpoint_ratio"] = row["total"] / row["plain_write"]
        row["restart_ratio"] = row["fully_there"] / row["plain_read"]
        if "crs" in medians:
            for key in ("pause_seen", "total", "first_instruction", "fully_there"):
                row[key + "_times"] = row[key] / medians["crs"][key] if medians["crs"][key] \
                    else None
        rows.append(row)
    return rows


def measure(session):
    rows, tools = [], find_tools(session)
    for mib in session.a.peer_sizes:
        for place in session.places:
            if session.room("peers, %s, %s" % (t.mib(mib), place.name), place, mib):
                rows += rows_of(session, place, mib, tools)
    return rows


def show(results):
    def times(row, key):
        return t.ratio(row.get(key + "_times"))

    return [("Tools side by side: an idle program that holds incompressible memory (not "
             "compressed); times: as a multiple of crs's",
             ["memory", "where", "tool", "pause|(seen)", "times", "total", "times", "of which|sync",
              "processor|time", "plain|write", "restart: first|instruction", "times",
              "fully|there", "times", "plain|read", "snapshot"],
             [[t.mib(r["mib"]), r["place"], r["tool"], t.seconds(r["pause_seen"]),
               times(r, "pause_seen"), t.seconds(r["total"]), times(r, "total"),
               t.seconds(r.get("sync")),
               t.seconds(r["cpu"]), t.seconds(r["plain_write"]),
               t.seconds(r["first_instruction"]), times(r, "first_instruction"),
               t.seconds(r["fully_there"]), times(r, "fully_there"), t.seconds(r["plain_read"]),
               t.size(r["bytes"])]
              for r in results["peers"]])]
