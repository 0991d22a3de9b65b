"""What all parts of a run share: the programs, the places, what was skipped and what failed."""

import os
import shutil
import statistics
import sys

from measure import Failed, Round
from tools import Crs

PROGRAMS = ("holder", "worker", "family", "plain_read", "requests", "redis_load")


def median_of(rounds):
    """The median of each number in several rounds; of what isn't a number, the last."""
    result = {}
    for key in rounds[-1]:
        values = [r.get(key) for r in rounds]
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        result[key] = statistics.median(values) if numbers else values[-1]
    return result


CALM = 0.02  # of the processors' time, stolen by the host while something was measured


def disturbance(result):
    return max(value for key, value in {"": 0.0, **result}.items()
               if key in ("", "stolen") or key.endswith("_stolen"))


def calmest(n, rounds):
    """Those n that the host disturbed least, in their order."""
    chosen = sorted(range(len(rounds)), key=lambda i: disturbance(rounds[i]))[:n]
    return [rounds[i] for i in sorted(chosen)]


def repeat(n, measure, disturbed=disturbance):
    """n times; where the host disturbed some, up to as often again."""
    done = []
    while len(done) < n or (len(done) < 2 * n and
                            sum(disturbed(result) <= CALM for result in done) < n):
        done.append(measure())
    return done


class Session:
    def __init__(self, a, work, places):
        self.a, self.work, self.places = a, work, places
        self.programs, self.skipped, self.failed = {}, [], []
        self.stage(os.path.abspath(a.build))
        self.features = Crs(self.crs).features()
        self.versions = {}

    def stage(self, build):
        """Copies of all that is run, where any user may run them."""
        bin_dir = os.path.join(self.work, "bin")
        os.mkdir(bin_dir)
        for path in [os.path.join("bench", name) for name in PROGRAMS] + ["cli/crs",
                                                                          "cli/crs-request"]:
            source = os.path.join(build, path)
            if not os.access(source, os.X_OK):
                sys.exit("bench: %s is not there: build first (make)" % source)
            self.programs[os.path.basename(path)] = shutil.copy(source, bin_dir)
        self.crs = self.programs["crs"]

    def say(self, text):
        print("bench: " + text, file=sys.stderr, flush=True)

    def skip(self, what, why):
        self.skipped.append({"what": what, "why": why})
        self.say("%s skipped: %s" % (what, why))

    def fail(self, what, why):
        self.failed.append({"what": what, "why": str(why)})
        self.say("%s FAILED: %s" % (what, why))

    def room(self, what, place, mib, files=2.0):
        """Whether there is; where not it is said."""
        why = place.why_not(mib, files)
        if why:
            self.skip(what, why)
        return not why

    median_of = staticmethod(median_of)

    def runs_of(self, mib):
        """Of how many the median is."""
        most = self.a.runs if mib < 512 else 3 if mib < 8192 else 1
        return min(self.a.runs, most)

    def medians(self, what, n, measure):
        """Of n runs, those that the host disturbed least, with the runs; None when one failed, which
        is said."""
        self.say("%s: %d run%s" % (what, n, "s" if n > 1 else ""))
        try:
            done = calmest(n, repeat(n, measure))
        except Failed as e:
            self.fail(what, e)
            return None
        return dict(median_of(done), rounds=done)

    def rounds(self, what, place, tool, options, n, **more):
        return self.medians(what, n, lambda: Round(self, place, tool, options, **more).measure())
