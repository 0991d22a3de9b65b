"""Requests that a program makes of itself, through libcr."""

import os
import subprocess

import tables as t


def row(session, callbacks, contexts):
    environment = dict(os.environ, CRS_LIBEXEC=os.path.dirname(session.crs))
    n = 40 * session.a.runs
    what = "libcr: callbacks: %s" % callbacks
    session.say("%s: %d requests" % (what, n))
    done = subprocess.run([session.programs["requests"], str(n), contexts], env=environment,
                          capture_output=True, text=True)
    if done.returncode != 0:
        session.fail(what, done.stderr.strip())
        return None
    accepted, mean, longest = map(float, done.stdout.split())
    return {"callbacks": callbacks, "requests": n, "accepted": accepted, "mean": mean,
            "longest": longest}


def measure(session):
    rows = [row(session, *what) for what in
            (("none", ""), ("thread context", "t"), ("both contexts", "ts"))]
    return [r for r in rows if r]


def show(results):
    return [("Requests that a small program makes of itself (libcr), to /dev/null",
             ["requests", "callbacks", "until|accepted", "until|ended", "the longest"],
             [[r["requests"], r["callbacks"], t.seconds(r["accepted"]), t.seconds(r["mean"]),
               t.seconds(r["longest"])] for r in results["libcr"]])]
