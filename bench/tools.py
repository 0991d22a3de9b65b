"""The tools that save and restart programs: crs, and others beside it."""

import json
import os
import re
import shutil
import subprocess
import time

from measure import Failed, run, run_counted, size_of, sync


def version_of(command):
    """The first line that a program says of its version."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError:
        return None
    return ((done.stdout + done.stderr).strip().splitlines() or [None])[0]


def warning_of(stderr):
    """The first warning in what crs says with --json while it works."""
    for line in stderr.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("event") == "warning":
            return event["text"]
    return None


class Tool:
    def launch(self):
        """What starts a program so that it can be saved."""
        return []

    def remove(self, path):
        shutil.rmtree(path, ignore_errors=True)


class Crs(Tool):
    name = "crs"

    def __init__(self, program, compress="none", freeze=None, options=()):
        self.program = program
        self.options = ["--compress", compress] if compress else []
        self.options += [f"--freeze={freeze}"] if freeze else []
        self.options += options

    def features(self):
        """The long options that each command has."""
        return {command: set(re.findall(r"--[a-z]+", run([self.program, command, "--help"])[0]))
                for command in ("checkpoint", "restart", "run")}

    def checkpoint(self, target, path=None, terminate=False):
        """Seconds: the longest stop as the tool says it, all its stops, the whole, and those of the
        processor (of a job it's the supervisor that works: they aren't counted); and bytes.
        Without a path: in the store of the options."""
        out, seconds, cpu = run_counted([self.program, "checkpoint", "--json", *self.options,
                                         *(["--output", path] if path else []),
                                         *(["--terminate"] if terminate else []), str(target)])
        told = json.loads(out)
        result = {"pause_told": told.get("longest_stop_us", told["pause_us"]) / 1e6,
                  "stops_told": told["pause_us"] / 1e6, "total": seconds, "cpu": cpu,
                  "bytes": told["size_bytes"], "freeze": told.get("freeze"),
                  "new_bytes": told.get("new_bytes", told["size_bytes"]), "path": told["path"]}
        for key in ("peak_memory_bytes", "buffer_bytes"):
            if told.get(key) is not None:
                result[key] = told[key]
        return result

    def restart(self, path, lazy=False):
        """Returns the PID."""
        done = subprocess.run([self.program, "restart", "--json", "--detach",
                               *(["--lazy"] if lazy else []), path], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed("crs restart: exit code %d: %s" % (
                done.returncode, (done.stderr.strip().splitlines() or [""])[-1]))
        told = json.loads(done.stdout)
        self.why_not_lazy = None if told.get("lazy") else (
            warning_of(done.stderr) or "crs restart --lazy was not lazy, and does not say why")
        return told["pid"]

    def job(self, store, name):
        """What starts a program as a job."""
        return [self.program, "run", "--dir", store, "--name", name, "--"]


class Criu(Tool):
    name = "CRIU"

    def __init__(self, build):
        self.paths = [shutil.which("criu", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"),
                      os.path.join(build, "criu", "criu")]
        self.program = None

    def why_not(self):
        """Why it can't be measured here; None when it can."""
        if os.geteuid() != 0:
            return "it needs root, or capabilities given to its file"
        why = "it is not installed (tools/criu BUILD/criu gets one)"
        for path in self.paths:
            if not path or not os.access(path, os.X_OK):
                continue
            done = subprocess.run([path, "check"], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True)
            if done.returncode == 0:
                self.program = path
                return None
            words = [line.strip() for line in (done.stderr + done.stdout).splitlines()
                     if line.strip() and "exited, status" not in line]
            why = "`criu check` fails: %s" % (words[0] if words else done.returncode)
        return why

    def version(self):
        return version_of([self.program, "--version"])

    def checkpoint(self, pid, path):
        os.mkdir(path)
        _, seconds, cpu = run_counted([self.program, "dump", "--tree", str(pid), "--images-dir",
                                       path, "--log-file", "log", "--leave-running"])
        begin = time.monotonic()
        sync(path)  # crs does so itself
        took = time.monotonic() - begin
        return {"pause_told": None, "total": seconds + took, "sync": took, "cpu": cpu,
                "bytes": size_of(path)}

    def restart(self, path):
        pid_file = os.path.join(path, "pid")
        if os.path.exists(pid_file):
            os.unlink(pid_file)
        run([self.program, "restore", "--images-dir", path, "--log-file", "log",
             "--restore-detached", "--pidfile", pid_file])
        with open(pid_file) as f:
            return int(f.read())
