"""Options of bench/run, and what each part measures with them."""

import argparse
import os

PARTS = ("memory", "lazy", "rates", "increments", "codecs", "objects", "trees", "libcr", "slowdown")
AS_ROOT = ("lazy", "peers")  # where root has started this


def numbers(text):
    values = [int(word) for word in text.split(",")]
    if min(values) < 1:
        raise ValueError(text)
    return values


def parse(argv=None):
    p = argparse.ArgumentParser(
        prog="bench/run",
        description="Measure checkpoints and restarts beside plain writes and reads.",
        epilog="docs/performance.md tells how to read the tables.")
    p.add_argument("--build", default="build", metavar="DIR", help="the build directory")
    p.add_argument("--parts", metavar="LIST", help=", ".join(PARTS) + " (default: all), peers")
    p.add_argument("--peers", action="store_true",
                   help="the part peers: CRIU beside crs, as root (make bench-peers)")
    p.add_argument("--quick", action="store_true",
                   help="three minutes: smaller sizes, fewer runs, shorter intervals")
    p.add_argument("--sizes", type=numbers, metavar="LIST",
                   help="of memory, in MiB (64,256,1024,4096,12288; quick: 64,1024)")
    p.add_argument("--places", default="tmpfs,disk", metavar="LIST", help="tmpfs, disk")
    p.add_argument("--disk", default="/var/tmp", metavar="DIR", help="where the disk is")
    p.add_argument("--runs", type=int, metavar="N",
                   help="the median is of so many (5; quick: 1), of fewer with much memory")
    p.add_argument("--intervals", type=numbers, metavar="LIST",
                   help="of checkpoints, for the part slowdown, in seconds (10,60; quick: 2,5)")
    p.add_argument("--freeze", metavar="HOW",
                   help="all checkpoints are made with this (auto, live, fork, stop)")
    p.add_argument("--huge", action="store_true",
                   help="the program of the part memory asks for transparent huge pages")
    p.add_argument("--cold", action="store_true",
                   help="restarts and plain reads find nothing in the page cache (on disk)")
    p.add_argument("--root", action="store_true",
                   help="started by root, stay root: else the user nobody measures")
    p.add_argument("--json", metavar="FILE", help="all results (default: BUILD/bench.json)")
    p.add_argument("--from", dest="source", metavar="FILE",
                   help="measure nothing: show the results of that file")
    p.add_argument("--plots", metavar="DIR", help="SVG (default: BUILD/bench-plots)")
    p.add_argument("--markdown", action="store_true", help="print the tables in Markdown")
    p.add_argument("--document", metavar="FILE",
                   help="put the tables into FILE, between the lines <!-- results --> and "
                   "<!-- end of results --> (with --peers: <!-- peers -->), and the plots into "
                   "plots beside it")
    p.add_argument("--check", action="store_true",
                   help="exit with 1 where a target that was measured is not met")
    a = p.parse_args(argv)
    check(p, a)
    complete(a)
    return a


def check(p, a):
    a.parts = a.parts or ("peers" if a.peers else ",".join(PARTS))
    for name, known in (("parts", (*PARTS, "peers")), ("places", ("tmpfs", "disk"))):
        for item in getattr(a, name).split(","):
            if item not in known:
                p.error("--%s: '%s' is none of %s" % (name, item, ", ".join(known)))
    if a.runs is not None and a.runs < 1:
        p.error("--runs: less than 1")
    a.parts = a.parts.split(",")
    if a.root and os.geteuid() != 0:
        p.error("--root: you are an ordinary user")


def complete(a):
    """Sizes of the parts, as far as they follow from others."""
    given = a.sizes
    a.sizes = given or ([64, 1024] if a.quick else [64, 256, 1024, 4096, 12288])
    a.peer_sizes = given or [64, 1024]
    a.runs = a.runs or (1 if a.quick else 5)
    a.intervals = a.intervals or ([2, 5] if a.quick else [10, 60])
    middle = 256 if a.quick else 1024
    largest = max([mib for mib in a.sizes if mib <= 4096] or [4096])
    a.large_mib = largest
    a.curve_mib = min(middle, largest)
    a.codec_mib = min(256 if a.quick else 512, largest)
    a.work_mib = min(middle, largest)
    a.fewer = 100 if largest < 64 else 10 if a.quick else 1  # threads, mappings, processes
