"""Results as plots (SVG), by matplotlib. The same results make the same files."""

import os
import shutil
import tempfile

import tables as t

LINES = {"pause_seen": ("pause", "C3", "o"), "total": ("total", "C0", "s"),
         "plain_write": ("plain write", "0.55", "^"),
         "first_instruction": ("first instruction", "C3", "o"),
         "fully_there": ("fully there", "C0", "s"), "plain_read": ("plain read", "0.55", "^"),
         "lazy_first_instruction": ("on demand: first instruction", "C1", "D"),
         "lazy_fully_there": ("on demand: fully there", "C2", "v")}


class Missing(Exception):
    """There is no matplotlib; its words say what to do."""


def library():
    """matplotlib's pyplot, set up so that files don't depend on the moment or the user."""
    own = None
    if "MPLCONFIGDIR" not in os.environ:
        own = os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="crs-bench-plots.")
    try:
        import matplotlib
        matplotlib.use("svg")
        from matplotlib import pyplot
    except ImportError:
        raise Missing("matplotlib is not installed (tools/deps bench gets it)") from None
    finally:
        if own:
            shutil.rmtree(own, ignore_errors=True)
            del os.environ["MPLCONFIGDIR"]
    pyplot.rcParams.update({
        "svg.hashsalt": "opencrs", "svg.fonttype": "none", "font.family": "sans-serif",
        "font.size": 9, "axes.grid": True, "grid.color": "0.88", "grid.linewidth": 0.6,
        "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
        "legend.frameon": False, "legend.fontsize": 8, "lines.markersize": 4,
        "figure.facecolor": "white", "xtick.minor.bottom": False, "ytick.minor.left": False})
    return pyplot


# ---- axes ----

def log_axis(axis, label, unit=1):
    """Logarithmic, a factor of ten at least; values are shown as multiples of unit."""
    from matplotlib import ticker

    axis.set_yscale("log")
    axis.set_ylabel(label)
    low, high = axis.get_ylim()
    if high < 10 * low:
        axis.set_ylim(high / 10, high)
    axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_minor_locator(ticker.NullLocator())
    axis.yaxis.set_major_formatter(lambda value, _: "%g" % (value / unit))


def seconds_axis(axis, label="time"):
    log_axis(axis, label + " (ms, logarithmic)", 1e-3)


def categories(axis, names, label, **more):
    axis.set_xticks(range(len(names)))
    axis.set_xticklabels(names, **more)
    axis.set_xlabel(label)


def lines(axis, rows, names, xs, keys, style="-", suffix=""):
    """A line for each key that is there; at the place of x among names."""
    for key in keys:
        label, color, marker = LINES[key]
        points = [(names.index(x), row[key]) for x, row in zip(xs, rows) if row.get(key)]
        if points:
            axis.plot(*zip(*points), style, color=color, marker=marker, label=label + suffix)


def by_place(axis, rows, keys):
    """Over the size; the first place drawn through, the second dashed."""
    sizes = sorted({r["mib"] for r in rows})
    places = sorted({r["place"] for r in rows}, reverse=True)
    for place, style in zip(places, ("-", "--")):
        of = [r for r in rows if r["place"] == place]
        lines(axis, of, sizes, [r["mib"] for r in of], keys, style, ", " + place)
    categories(axis, [t.mib(mib) for mib in sizes], "memory of the program")
    seconds_axis(axis)
    axis.legend(ncol=2)


# ---- one function for each part: (name, title, width, function of figure) ----

def sizes(plot, rows):
    figure, axis = plot.subplots(figsize=(7, 4))
    axis.set_title("Checkpoint of an idle program")
    by_place(axis, rows, ("pause_seen", "total", "plain_write"))
    yield "sizes", figure
    figure, axis = plot.subplots(figsize=(7, 4))
    axis.set_title("Restart, eager")
    by_place(axis, rows, ("first_instruction", "fully_there", "plain_read"))
    yield "restarts", figure


def lazy(plot, rows):
    figure, axis = plot.subplots(figsize=(7, 4))
    axis.set_title("Restart on demand, and eager")
    by_place(axis, rows, ("lazy_first_instruction", "lazy_fully_there", "first_instruction",
                          "fully_there"))
    yield "on-demand", figure


def rates(plot, rows):
    rows = [r for r in rows if r["place"] == rows[0]["place"]]
    sizes_there = sorted({r["mib"] for r in rows})
    order = sorted({r["rate"] for r in rows}, key=lambda r: float("inf") if r is None else r)
    figure, axis = plot.subplots(figsize=(7, 4))
    for mib, style in zip(sizes_there, ("-", "--")):
        of = [r for r in rows if r["mib"] == mib]
        lines(axis, of, order, [r["rate"] for r in of], ("pause_seen", "total"), style,
              ", " + t.mib(mib))
    axis.set_title("Checkpoint of a program that writes to its memory")
    categories(axis, ["all" if r is None else "{:,}".format(r) for r in order],
               "pages written to a second")
    seconds_axis(axis)
    axis.legend()
    yield "rates", figure


def trees(plot, rows):
    figure, both = plot.subplots(1, 2, figsize=(8.5, 3.6), sharey=True)
    for axis, kind in zip(both, ("processes", "threads")):
        of = [r for r in rows if r["kind"] == kind]
        names = [r["n"] for r in of]
        for key, color, marker in (("pause", "C3", "o"), ("checkpoint", "C0", "s"),
                                   ("restart", "C2", "v")):
            axis.plot(range(len(of)), [r[key] for r in of], color=color, marker=marker, label=key)
        categories(axis, names, kind)
    seconds_axis(both[0])
    both[0].legend()
    figure.suptitle("Checkpoint and restart of many processes, and of many threads")
    yield "trees", figure


def increments(plot, rows):
    figure, (left, right) = plot.subplots(1, 2, figsize=(8.5, 3.6))
    rows = [r for r in rows if r["place"] == rows[0]["place"]]
    for mib, style in zip(sorted({r["mib"] for r in rows}), ("-", "--")):
        of = [r for r in rows if r["mib"] == mib and r["share"] is not None]
        first = next(r for r in rows if r["mib"] == mib and r["share"] is None)
        xs = [r["share"] * 100 for r in of]
        left.plot(xs, [r["new_bytes"] / 2 ** 20 for r in of], style, marker="s", color="C0",
                  label=t.mib(mib))
        left.axhline(first["new_bytes"] / 2 ** 20, color="0.55", linestyle=style, linewidth=0.8,
                     label="the first one, " + t.mib(mib))
        for key in ("pause_seen", "total"):
            label, color, marker = LINES[key]
            right.plot(xs, [r[key] for r in of], style, color=color, marker=marker,
                       label="%s, %s" % (label, t.mib(mib)))
    for axis in (left, right):
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda value, _: "%g" % value)
        axis.set_xlabel("changed pages (%, logarithmic)")
    log_axis(left, "new bytes (MiB, logarithmic)")
    seconds_axis(right)
    left.legend()
    right.legend()
    figure.suptitle("The next checkpoint of a job")
    yield "increments", figure


def codecs(plot, rows):
    figure, (left, right) = plot.subplots(1, 2, figsize=(8.5, 3.4))
    at = range(len(rows))
    left.bar(at, [r["bytes"] / 2 ** 20 for r in rows], 0.6, color="C0")
    left.set_ylabel("snapshot (MiB)")
    right.bar([i - 0.2 for i in at], [r["total"] * 1e3 for r in rows], 0.4, color="C0",
              label="checkpoint")
    right.bar([i + 0.2 for i in at], [r["fully_there"] * 1e3 for r in rows], 0.4, color="C2",
              label="restart, fully there")
    right.set_ylabel("time (ms)")
    right.legend()
    for axis in (left, right):
        categories(axis, [r["codec"] for r in rows], "codec")
    figure.suptitle("%s of structures, on %s" % (t.mib(rows[0]["mib"]), rows[0]["place"]))
    yield "codecs", figure


def interval_name(row):
    if row["interval"]:
        return "every %g s" % row["interval"]
    return "none,\na job" if row["job"] else "none"


def slowdown(plot, rows):
    figure, (left, right) = plot.subplots(1, 2, figsize=(8.5, 3.8))
    for i, kind in enumerate(("cpu", "memory")):
        of = [r for r in rows if r["program"] == kind][1:]
        for j, (key, color) in enumerate((("slowdown", "C%d" % i), ("slowdown_between", "0.6"))):
            left.bar([k + (2 * i + j - 1.5) * 0.2 for k in range(len(of))],
                     [100 * r[key] for r in of], 0.19, color=color, hatch="//" if i and j else None,
                     label="%s, %s" % (kind, "in all" if j == 0 else "between checkpoints"))
        if of:
            categories(left, [interval_name(r) for r in of], "checkpoints")
    left.axhline(0, color="0.3", linewidth=0.8)
    left.set_ylabel("slower (%)")
    low, high = left.get_ylim()
    left.set_ylim(low, high + 0.45 * (high - low))  # room for the legend
    left.legend(loc="upper left")
    of = [r for r in rows if r["program"] == "redis"]
    for key, label, marker in (("p50", "p50", "o"), ("p99", "p99", "s"), ("p99_9", "p99.9", "^"),
                               ("longest", "longest", "D")):
        right.plot(range(len(of)), [r[key] for r in of], marker=marker, label=label)
    categories(right, [interval_name(r) for r in of], "checkpoints")
    if of:
        seconds_axis(right, "answer of Redis")
        right.legend()
    figure.suptitle("What checkpoints cost a running program")
    yield "slowdown", figure


def peers(plot, rows):
    figure, axes = plot.subplots(1, 3, figsize=(9.5, 3.8), sharey=True)
    groups = sorted({(r["mib"], r["place"]) for r in rows}, key=lambda g: (g[0], g[1] != "tmpfs"))
    tools = sorted({r["tool"] for r in rows}, key=lambda name: (name != "crs", name))
    for axis, (key, title) in zip(axes, (("pause_seen", "pause"), ("total", "total"),
                                         ("fully_there", "restart, fully there"))):
        for i, tool in enumerate(tools):
            of = {(r["mib"], r["place"]): r[key] for r in rows if r["tool"] == tool}
            width = 0.8 / len(tools)
            axis.bar([k + (i - (len(tools) - 1) / 2) * width for k in range(len(groups))],
                     [of.get(group) or 0 for group in groups], width, color="C%d" % i, label=tool)
        axis.set_title(title)
        categories(axis, ["%s\n%s" % (t.mib(mib), place) for mib, place in groups], "memory, where")
    seconds_axis(axes[0])
    axes[0].legend()
    yield "peers", figure


PLOTS = {"memory": sizes, "lazy": lazy, "rates": rates, "increments": increments, "codecs": codecs,
         "trees": trees, "slowdown": slowdown, "peers": peers}


def draw(results, directory):
    """All that the results have; part -> names of files in the directory."""
    plot = library()
    os.makedirs(directory, exist_ok=True)
    made = {}
    for part, function in PLOTS.items():
        if not results.get(part):
            continue
        for name, figure in function(plot, results[part]):
            figure.tight_layout()
            path = os.path.join(directory, name + ".svg")
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
            plot.close(figure)
            made.setdefault(part, []).append(os.path.basename(path))
    return made
