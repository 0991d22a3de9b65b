"""On what it is measured."""

import os
import platform

import tables
from tools import version_of


def machine():
    model = platform.machine()
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    huge = "?"
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled") as f:
            huge = f.read().split("[")[1].split("]")[0]
    except (OSError, IndexError):
        pass
    return {"cpus": len(os.sched_getaffinity(0)), "model": model, "memory_bytes": memory,
            "kernel": ".".join(platform.release().split("-")[0].split(".")[:2]),
            "huge_pages": huge, "root": os.geteuid() == 0}


def versions(crs):
    found = {"crs": version_of([crs, "--version"]), "kernel": platform.release(),
             "Python": platform.python_version(),
             "redis": version_of(["redis-server", "--version"])}
    return {name: version for name, version in found.items() if version}


def text(m):
    return "%d CPUs (%s), %s of memory, Linux %s, huge pages: %s; %s" % (
        m["cpus"], m["model"], tables.size(m["memory_bytes"]), m["kernel"], m["huge_pages"],
        "as root" if m["root"] else "as an ordinary user")
