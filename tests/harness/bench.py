"""What bench/run measures with, at sizes that take seconds: what is measured is there, JSON and SVG
are valid. The times themselves are nobody's business here.
"""
import json
import os
import shutil
import xml.etree.ElementTree

from . import build
from .cases import Case, Skip, expect

TINY = ("--quick", "--sizes", "8", "--runs", "1", "--intervals", "1")
PARTS = ("memory", "lazy", "rates", "increments", "codecs", "objects", "trees", "libcr", "slowdown")
PROGRAMS = ("holder", "worker", "family", "plain_read", "requests", "redis_load")
# Of each row of a part: numbers that are more than 0, and numbers.
POSITIVE = {
    "memory": ("pause_seen", "gaps_seen", "pause_told", "total", "plain_write", "plain_read",
               "first_instruction", "fully_there", "bytes", "checkpoint_ratio", "restart_ratio"),
    "rates": ("pause_seen", "total", "first_instruction", "bytes"),
    "increments": ("new_bytes", "total", "fully_there", "bytes_ratio", "time_ratio"),
    "codecs": ("bytes", "total", "fully_there"),
    "objects": ("pause_seen", "total", "first_instruction", "n"),
    "trees": ("pause", "checkpoint", "restart", "checkpoint_each", "restart_each"),
    "libcr": ("requests", "accepted", "mean", "longest"),
    "lazy": ("lazy_first_instruction", "lazy_fully_there", "fully_there"),
    "slowdown": (), "peers": ("total", "plain_write", "fully_there"),
}


def stage(setup):
    """A copy of bench/, and of what it needs of the build directory, where any user may run it."""
    def make(mark):
        place = os.path.dirname(mark)
        shutil.copytree(os.path.join(setup.top, "bench"), os.path.join(place, "bench"),
                        ignore=shutil.ignore_patterns("*.c", "*.h", "__pycache__"),
                        dirs_exist_ok=True)
        os.makedirs(os.path.join(place, "build", "bench"), exist_ok=True)
        os.makedirs(os.path.join(place, "build", "cli"), exist_ok=True)
        for name in [f"bench/{name}" for name in PROGRAMS] + ["cli/crs", "cli/crs-request"]:
            source = os.path.join(setup.build, name)
            if not os.path.exists(source):
                raise build.BuildError(f"{source} is not there: run `make` first")
            shutil.copy(source, os.path.join(place, "build", name))
        open(mark, "w", encoding="ascii").close()
    return os.path.dirname(build.once(setup, "bench/.copied", make))


def bench(env, *options, code=0, timeout=150):
    """Run it; what it has written to standard output."""
    place = stage(env.setup)
    got, out, err = env.run("/usr/bin/python3", os.path.join(place, "bench", "run"), "--build",
                            os.path.join(place, "build"), *options, timeout=timeout)
    expect(got == code, f"bench/run: exit code {got}, expected {code}")
    return out, err


def has_matplotlib():
    return os.path.isdir("/usr/lib/python3/dist-packages/matplotlib")


def results_of(env, part):
    with open(env.path("results"), encoding="utf-8") as file:
        results = json.load(file)
    expect(results["machine"]["cpus"] > 0 and results["versions"]["crs"], "no machine, no version")
    expect(not results["failed"], f"failed: {results['failed']}")
    expect(results[part], f"nothing was measured of {part}")
    expect(all(item["ratio"] for item in results["ratios"]), "a ratio is missing")
    for row in results[part]:
        for key in POSITIVE[part]:
            expect(isinstance(row[key], (int, float)) and row[key] > 0, f"{key} of {row}")
    return results


def check_plots(directory):
    """Each is an image with words."""
    names = sorted(os.listdir(directory))
    expect(names, "there are no plots")
    for name in names:
        path = os.path.join(directory, name)
        root = xml.etree.ElementTree.parse(path).getroot()
        expect(root.tag == "{http://www.w3.org/2000/svg}svg", f"{name} is {root.tag}")
        words = "".join(root.itertext())
        expect("ms" in words or "MiB" in words, f"{name} has no units")
        expect(os.path.getsize(path) < 50 << 10, f"{name} is large")


def measure(env, part, *options):
    out, _ = bench(env, *TINY, "--parts", part, "--json", env.path("results"), "--plots",
                   env.path("plots"), *options)
    expect(("What is to be reached" in out) == (part not in ("objects", "trees", "libcr")),
           "the table of targets is there or is not")
    expect("Everything as ratios" in out or part in ("objects", "libcr"), "there are no ratios")
    if has_matplotlib() and part not in ("objects", "libcr"):
        check_plots(env.path("plots"))
    return results_of(env, part)


def of_memory(env):
    results = measure(env, "memory")
    expect({row["place"] for row in results["memory"]} == {"tmpfs", "disk"} or results["skipped"],
           "a place is missing")


def of_lazy(env):
    """Where it isn't permitted, or not there, it is skipped and that is said."""
    bench(env, *TINY, "--parts", "lazy", "--json", env.path("results"), "--plots",
          env.path("plots"))
    with open(env.path("results"), encoding="utf-8") as file:
        results = json.load(file)
    if not results["lazy"]:
        expect(results["skipped"][0]["what"] == "restart on demand" and not results["failed"],
               f"{results}")
        raise Skip(results["skipped"][0]["why"])
    results_of(env, "lazy")


def of_rates(env):
    rates = [row["rate"] for row in measure(env, "rates")["rates"]]
    expect(rates == [0, 100, 1000, 10000, 100000, None], f"rates: {rates}")


def of_increments(env):
    rows = measure(env, "increments")["increments"]
    expect([row["share"] for row in rows] == [None, 0.001, 0.01, 0.1, 0.5, 1.0], "shares")
    changed = [row["changed_pages"] for row in rows[1:]]
    expect(changed == sorted(changed) and changed[-1] == 2048, f"changed: {changed}")


def of_slowdown(env):
    results = measure(env, "slowdown")
    for row in results["slowdown"]:
        expect(bool(row["checkpoints"]) == bool(row["interval"]), f"checkpoints: {row}")
    programs = {row["program"] for row in results["slowdown"]}
    expect({"cpu", "memory"} <= programs, f"programs: {programs}")
    if shutil.which("redis-server") and shutil.which("redis-cli"):
        answers = [row for row in results["slowdown"] if row["program"] == "redis"]
        expect(answers and all(0 < row["p50"] <= row["p99"] <= row["p99_9"] <= row["longest"]
                               for row in answers), f"answers: {answers}")


OF = {"memory": of_memory, "lazy": of_lazy, "rates": of_rates, "increments": of_increments,
      "slowdown": of_slowdown}


def as_nobody(env):
    """Started by root it measures as an ordinary user, and with --root as root."""
    for option, root in ((), False), (("--root",), True):
        results = measure(env, "memory", "--places", "tmpfs", *option)
        expect(results["machine"]["root"] == root, f"as root: {results['machine']['root']}")


def of_peers(env):
    criu = os.path.join(env.setup.build, "criu", "criu")
    if not os.access(criu, os.X_OK):
        raise Skip("no CRIU: tools/criu BUILD/criu gets one")
    place = os.path.join(stage(env.setup), "build", "criu")
    if not os.path.islink(place):
        os.symlink(os.path.dirname(criu), place)
    results = measure(env, "peers", "--peers", "--places", "tmpfs")
    if any(item["what"] == "CRIU" for item in results["skipped"]):
        raise Skip("CRIU doesn't work here")
    rows = {row["tool"]: row for row in results["peers"]}
    expect(set(rows) == {"crs", "CRIU"} and rows["CRIU"]["total_times"] > 0, f"tools: {rows}")


def shown_again(env):
    """From its results: the same tables, the same plots to the byte, and a document with both."""
    first, _ = bench(env, *TINY, "--parts", "trees", "--json", env.path("results"), "--plots",
                     env.path("plots"))
    os.mkdir(env.path("docs"))
    with open(env.create("docs/text"), "w", encoding="utf-8") as file:
        file.write("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    os.chown(env.path("docs"), env.uid, env.gid)
    out, _ = bench(env, "--from", env.path("results"), "--document", env.path("docs/text"))
    table = first[first.index("A tree of"):].partition("\n\n")[0]
    expect(table in out, "the tables are others")
    with open(env.path("docs/text"), encoding="utf-8") as file:
        text = file.read()
    expect(text.startswith("before\n<!-- results -->\n") and "old" not in text and
           text.endswith("<!-- end of results -->\nafter\n"), text)
    if not has_matplotlib():
        return
    expect("![trees](plots/trees.svg)" in text, text)
    images = []
    for name in ("plots/trees.svg", "docs/plots/trees.svg"):
        with open(env.path(name), "rb") as file:
            images.append(file.read())
    expect(images[0] == images[1], "the plots are others")


def without_plots(env):
    """Where matplotlib is missing that is said, and everything else is there."""
    os.mkdir(env.path("modules"))
    with open(env.path("modules/matplotlib.py"), "w", encoding="ascii") as file:
        file.write("raise ImportError\n")
    place = stage(env.setup)
    code, out, _ = env.run("env", f"PYTHONPATH={env.path('modules')}", "/usr/bin/python3",
                           os.path.join(place, "bench", "run"), "--build",
                           os.path.join(place, "build"), *TINY, "--parts", "codecs", "--json",
                           env.path("results"), "--plots", env.path("plots"), timeout=100)
    expect(code == 0 and "no plots: matplotlib is not installed" in out, f"exit code {code}")
    results_of(env, "codecs")


def targets(env):
    """--check: a target that is not met."""
    row = {"mib": 64, "place": "tmpfs", "checkpoint_ratio": 1.0, "restart_ratio": 1.0,
           "pause_seen": 0.002}
    for pause, code, word in ((0.002, 0, "yes"), (0.004, 1, "NO")):
        results = {"schema": 2, "machine": {}, "versions": {}, "skipped": [], "failed": [],
                   "options": {"parts": ["memory", "codecs"]}}
        results["memory"] = [dict(row, pause_seen=pause, freeze="live", gaps_seen=pause,
                                  gap_before=0.0, pause_told=pause, total=0.1, plain_write=0.1,
                                  bytes=64 << 20, first_instruction=0.1, fully_there=0.1,
                                  plain_read=0.1)]
        with open(env.path("made"), "w", encoding="ascii") as file:
            json.dump(results, file)
        out, _ = bench(env, "--check", "--from", env.path("made"), code=code)
        line = next(line for line in out.splitlines() if "idle program, 64 MiB" in line)
        expect(line.split()[-1] == word, line)


def cases(setup):
    found = [Case(f"bench/{part}/user",
                  OF.get(part, lambda env, part=part: measure(env, part)), "user", 180)
             for part in PARTS]
    return found + [Case("bench/lazy/root", of_lazy, "root", 180),
                    Case("bench/as-nobody/root", as_nobody, "root", 180),
                    Case("bench/peers/root", of_peers, "root", 180),
                    Case("bench/shown-again/user", shown_again, "user", 180),
                    Case("bench/without-plots/user", without_plots, "user", 180),
                    Case("bench/targets/user", targets, "user", 60)]
