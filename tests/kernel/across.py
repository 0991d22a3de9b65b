#!/usr/bin/python3
"""Programs that change kernels: `save` on one, `restore` on the other.

    across.py [--slow] save STAGE DIRECTORY USER VICTIM...    start, checkpoint --terminate
    across.py [--slow] restore STAGE DIRECTORY     restart all that was saved there, let each
                                                   check itself, checkpoint it, restart it again

--slow: the processor is emulated, be patient. Both sides have the tool and the victims in STAGE,
under the same paths. A line for each, and the exit code, say how it went.
"""
import argparse
import ctypes
import json
import os
import shutil
import sys
import types

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from harness import env as environments  # noqa: E402
from harness import machine, victims  # noqa: E402
from harness.cases import Case, Failure, Skip, expect  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def make_setup(stage, slow):
    options = argparse.Namespace(slow=slow, require_all=False, full=False)
    return environments.Setup(TOP, os.path.join(stage, "build"), stage, options)


# Saved programs use no vector register beyond AVX2, so that they could go on where there are none.
MODEST = {"LD_BIND_NOW": "1", "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,"
          "-AVX512DQ,-AVX512CD,-AVX512ER,-AVX512PF"}


class ModestEnv(environments.Env):
    def environment(self):
        return super().environment() | MODEST


def begin(setup, directory, name, user, uid=None):
    """The surroundings of one victim for one user; made by `save`, found by `restore`."""
    place = os.path.join(directory, f"{name}-{user}")
    os.makedirs(place, exist_ok=True)
    if uid is not None:  # as there
        setup.user_uid = setup.user_gid = uid
    return ModestEnv(setup, Case(f"across/{name}/{user}", None, user), place)


def lacking(snapshot):
    """The processor's features that the snapshot names and that aren't here."""
    with open(os.path.join(snapshot, "manifest.json"), encoding="utf-8") as file:
        saved = json.load(file)["cpu"]["features"]
    text = machine.read("/proc/cpuinfo").partition("\nflags")[2].partition("\n")[0]
    return sorted(set(saved) - set(text.split()))


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def checksum(data):
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_128bits.restype = Hash128
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    value = library.XXH3_128bits(data, len(data))
    return f"{value.high:016x}{value.low:016x}"


def without(snapshot, missing, copy):
    """A copy that doesn't name what is missing here: the program is known not to use it."""
    shutil.copytree(snapshot, copy)
    path = os.path.join(copy, "manifest.json")
    with open(path, encoding="utf-8") as file:
        manifest = json.load(file)
    del manifest["checksum"]
    cpu = manifest["cpu"]
    cpu["features"] = [name for name in cpu["features"] if name not in missing]
    cpu["xcr0"] &= 0x207  # x87, SSE, AVX, protection keys
    body = json.dumps(manifest, indent=1).rstrip("}\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'{body},\n"checksum": "{checksum(body.encode())}"}}\n')
    owner = os.stat(snapshot)
    for name in (copy, *(os.path.join(copy, entry) for entry in os.listdir(copy))):
        os.chown(name, owner.st_uid, owner.st_gid)
    return copy


class Travelling(victims.Play):
    """A play whose second half is on another kernel."""

    def __init__(self, env, victim, notes=None):
        if notes is None:
            super().__init__(env, victim)
            return
        self.env, self.victim = env, victim
        self.work = env.path("work")
        self.process = self.foreground = None
        self.pid, self.round = notes["pid"], notes["round"]
        self.snapshots, self.restarts = notes["snapshots"], notes["restarts"]
        while os.path.exists(env.path(f"snapshot.{self.snapshots + 1}")):
            self.snapshots += 1

    def notes(self):
        keys = ("pid", "round", "snapshots", "restarts")
        return {key: getattr(self, key) for key in keys}


def save(setup, directory, user, name):
    env = begin(setup, directory, name, user)
    source = os.path.join(TOP, "tests", "victims", name + ".c")
    header = victims.build.header(source)
    play = Travelling(env, types.SimpleNamespace(
        name=name, args=header.get("args", "").split(), isolate=header.get("isolate"),
        needs_mib=lambda: 0))
    play.start()
    path = play.checkpoint(terminate=True)
    with open(env.path("notes.json"), "w", encoding="ascii") as file:
        json.dump(play.notes() | {"victim": name, "user": user, "snapshot": path,
                                  "uid": env.uid, "kernel": os.uname().release}, file)


def must_refuse(env, snapshot, policy, words):
    env.crs("restart", "--detach", f"--pids={policy}", snapshot, code=7)
    for word in words:
        expect(word in env.last_stderr, f"the refusal does not say {word!r}: {env.last_stderr}")


def restore(setup, directory, notes, policy):
    uid = notes["uid"] if notes["user"] == "user" else None
    env = begin(setup, directory, notes["victim"], notes["user"], uid)
    snapshot = notes["snapshot"]
    missing = lacking(snapshot)
    if missing:
        must_refuse(env, snapshot, policy, ["lacks features", missing[0]])
        snapshot = without(snapshot, missing, env.path("without-" + policy))
        if notes["victim"] == "vector_registers":  # no matter what the manifest says
            must_refuse(env, snapshot, policy, ["vector state"])
            return f"refused: {missing[0]} is in use"
    play = Travelling(env, types.SimpleNamespace(name=notes["victim"], args=[]), notes)
    for name in [n for n in os.listdir(play.work) if n.startswith(("check.", "result.", "stop"))]:
        os.unlink(os.path.join(play.work, name))  # of the policy before
    play.restart(snapshot, policy, False)
    play.ask(policy)
    play.checkpoint()
    play.ask("continue")
    again = play.checkpoint(terminate=True)
    play.restart(again, policy, False)
    play.ask(policy)
    play.stop()
    left = env.finish()
    expect(not left, "left behind: " + "; ".join(left))
    return f"beyond {len(missing)} features that are not here" if missing else ""


def report(name, function):
    """Run one; 1 if it failed."""
    try:
        words = function()
    except Skip as skip:
        print(f"skipped {name}: {skip}")
    except Failure as failure:
        print(f"FAILED {name}\n    " + "\n    ".join(str(failure).splitlines()))
        machine.kill_descendants()
        return 1
    else:
        print(f"passed {name}" + (f": {words}" if words else ""))
    return 0


def restore_all(setup, directory):
    failed = 0
    for entry in sorted(os.listdir(directory)):
        text = machine.read(os.path.join(directory, entry, "notes.json"))
        if text is None:
            continue
        notes = json.loads(text)
        for policy in ("namespace", "new"):
            name = f"across/{notes['kernel']}-to-{os.uname().release}/{entry}/{policy}"
            failed += report(name, lambda n=notes, p=policy: restore(setup, directory, n, p))
    return failed


def main():
    machine.become_subreaper()
    sys.stdout.reconfigure(line_buffering=True)
    slow = sys.argv[1] == "--slow"
    action, stage, directory, *rest = sys.argv[2 if slow else 1:]
    setup = make_setup(stage, slow)
    if action == "restore":
        return min(restore_all(setup, directory), 1)
    user, *names = rest
    return min(sum(report(f"across/save/{name}-{user}",
                          lambda n=name: save(setup, directory, user, n)) for name in names), 1)


if __name__ == "__main__":
    sys.exit(main())
