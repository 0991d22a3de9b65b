"""Bytes and time by codec, for memory of which about half can be compressed away."""

import tables as t
from measure import IDLE
from tools import Crs

CODECS = ("none", None, "lz4", "zstd:1", "zstd:3")


def measure(session):
    rows, mib, place = [], session.a.codec_mib, session.places[-1]
    if not session.room("codecs", place, mib):
        return rows
    for codec in CODECS:
        result = session.rounds("codec: %s" % (codec or "default"), place, Crs(session.crs, codec),
                                ["--mib", mib, "--fill", "heap", *IDLE], session.runs_of(512))
        if result:
            rows.append(dict(result, codec=codec or "default", mib=mib, place=place.name))
    return rows


def show(results):
    rows = results["codecs"]
    return [("A program that holds %s of structures (random, pointers, small numbers, zeros), on %s"
             % (t.mib(rows[0]["mib"]), rows[0]["place"]),
             ["codec", "snapshot", "of the|memory", "pause", "total", "a second",
              "restart: first|instruction", "fully|there"],
             [[r["codec"], t.size(r["bytes"]), "%.0f %%" % (100 * r["bytes"] / (r["mib"] << 20)),
               t.seconds(r["pause_seen"]), t.seconds(r["total"]),
               t.size((r["mib"] << 20) / r["total"]), t.seconds(r["first_instruction"]),
               t.seconds(r["fully_there"])] for r in rows])]
