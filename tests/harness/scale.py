"""Programs of a size that few have (tests/scale): each is saved while it runs, and restarted.

Only with --full. Each case takes some seconds, up to a minute or two on a busy machine.
"""
import glob
import json
import os
import resource

from . import machine
from .cases import Case, Skip, expect
from .victims import POLICIES, Play, Victim, staged

DESCRIPTORS = 100064  # of tests/scale/descriptors.c, with those of the tool


OWN_MEMORY = 64 << 20  # of the tool, beside its buffers


class LargePlay(Play):
    ready_s, result_s, tool_s = 120, 120, 240
    gone_s = 60

    def said(self, out):
        """What the tool took for itself, of the victim that is there for that."""
        if self.victim.name != "memory":
            return
        told = json.loads(out)
        own = told["peak_memory_bytes"] - told["buffer_bytes"]
        expect(own <= OWN_MEMORY, f"the tool had {own} bytes beside its buffers")


def raise_limit():
    """For this case's programs and its tool; as far as one may."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit[1] >= DESCRIPTORS:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit[0], DESCRIPTORS))
    except (ValueError, PermissionError):
        pass  # the victim takes what it gets


def continued(victim):
    def run(env):
        raise_limit()
        play = LargePlay(env, victim)
        play.start()
        play.checkpoint()
        play.ask("continue")
        play.stop()
    return run


def restarted(victim, policy):
    def run(env):
        if policy == "namespace":
            reason = machine.user_namespaces_work(env.uid, env.gid)
            if reason:
                raise Skip(reason)
        raise_limit()
        play = LargePlay(env, victim)
        play.start()
        path = play.checkpoint(terminate=True)
        play.restart(path, policy, False)
        play.ask(policy)
        play.stop()
    return run


def cases(setup):
    found = []
    if not setup.options.full:
        return found
    for source in sorted(glob.glob(os.path.join(setup.top, "tests", "scale", "*.c"))):
        victim = Victim(setup, source)
        victim.job = (*victim.job[:-1], (os.path.join(setup.top, "tests", "victims"),))
        for user in ("root", "user"):
            base = f"scale/{victim.name}/{user}"
            found.append(Case(f"{base}/continue", staged(setup, victim, continued(victim)), user,
                              900, alone=True))
            for policy in POLICIES[user]:
                found.append(Case(f"{base}/{policy}",
                                  staged(setup, victim, restarted(victim, policy)), user, 900,
                                  alone=True))
    return found
