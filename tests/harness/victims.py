"""The victims: each holds one kind of kernel object and is taken through every situation."""
import glob
import os
import shutil
import signal
import zlib

from . import build, machine
from .cases import Case, Failure, Skip, expect

POLICIES = {"root": ("same", "namespace", "new"), "user": ("namespace", "new")}
READY_S = 30
RESULT_S = 20
TOOL_S = 60
GONE_S = 10


class Victim:
    """A victim's source, and what its first comment says about it."""

    def __init__(self, setup, source):
        self.name = os.path.basename(source)[:-2]
        self.source = source
        self.header = build.header(source)
        self.without = {word[1:] for word in self.header.get("situations", "").split()
                        if word.startswith("-")}
        self.refused = self.header.get("refused")
        self.isolate = self.header.get("isolate")
        if self.isolate:  # what was isolated comes back in namespaces of its own only
            self.without |= {"same", "new"}
        self.options = self.header.get("checkpoint", "").split()
        self.increments = setup.increments and self.header.get("increments") != "no"
        eager = self.header.get("lazy") == "no"
        self.restart = ["restart"] if eager else setup.restart
        self.args = self.header.get("args", "").split()
        self.binary = os.path.join(build.output_directory(setup, "victims"), self.name)
        self.job = (source, self.binary, self.header.get("link", ""),
                    self.header.get("compiler", "gcc"), (os.path.dirname(source),))

    def huge_pages(self):
        return int(self.header.get("hugepages", "0"))

    def needs_mib(self):
        words = self.header.get("needs", "").split()
        return int(words[0]) if len(words) == 2 and words[1] == "MiB" else 0


class Play:
    """A victim started for one case, and what is done to it."""

    # How long is waited for each.
    ready_s, result_s, tool_s, gone_s = READY_S, RESULT_S, TOOL_S, GONE_S

    def __init__(self, env, victim):
        self.env, self.victim = env, victim
        self.work = env.mkdir("work")
        self.round = 0
        self.snapshots = 0
        self.restarts = 0
        self.foreground = None  # a crs restart that waits for it
        self.process = None
        self.pid = None

    # ---- starting and asking ----

    def start(self):
        if self.victim.needs_mib() > machine.memory_available_mib():
            raise Skip(f"needs {self.victim.needs_mib()} MiB of memory")
        binary = os.path.join(self.env.setup.stage, "victims", self.victim.name)
        self.process = self.launch(binary, self.work, *self.victim.args)
        ready = os.path.join(self.work, "ready")
        machine.wait_for(lambda: os.path.exists(ready) or self.process.poll() is not None,
                         self.ready_s * self.env.patience)
        code = self.process.poll()
        if code == 77:
            raise Skip((self.env.tail("stderr") or "not possible here").splitlines()[-1])
        expect(code is None and os.path.exists(ready),
               f"the victim did not get ready (exit code {code})\n"
               f"{machine.describe(self.process.pid)}")
        self.pid = self.program()

    def launch(self, *command):
        if not self.victim.isolate:
            return self.env.start(*command)
        reason = machine.user_namespaces_work(self.env.uid, self.env.gid)
        if reason:
            raise Skip(reason)
        self.foreground = self.env.start(self.env.setup.crs, "run",
                                         f"--isolate={self.victim.isolate}", "--", *command)
        return self.foreground

    def program(self):
        """The PID of what was launched, as seen from here; it is ready."""
        if not self.victim.isolate:
            return self.process.pid
        wanted = os.path.join(self.env.setup.stage, "victims", self.victim.name)
        found = [pid for pid in machine.descendants(self.process.pid)
                 if os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(wanted)]
        return next(pid for pid in found if machine.parent(pid) not in found)

    def ask(self, how):
        """Let the victim check itself; `how` it came to live on."""
        self.round += 1
        result = os.path.join(self.work, f"result.{self.round}")
        question = os.path.join(self.work, f"check.{self.round}")
        with open(question + ".tmp", "w", encoding="ascii") as file:
            file.write(how + "\n")
        os.chmod(question + ".tmp", 0o644)
        os.rename(question + ".tmp", question)
        machine.wait_for(lambda: os.path.exists(result) or not machine.alive(self.pid),
                         self.result_s * self.env.patience)
        text = machine.read(result)
        if text is None:
            raise Failure(self.silence(how))
        expect(text.strip() == "ok", f"after {how} (round {self.round}) the victim says:\n{text}")

    def silence(self, how):
        if machine.alive(self.pid):
            return f"after {how} the victim does not answer:\n{machine.describe(self.pid)}"
        try:
            code = self.env.wait_gone(self.pid)
        except Failure:
            code = None
        return f"after {how} the victim died (wait status {code})"

    # ---- checkpoint and restart ----

    def checkpoint(self, terminate=False):
        self.snapshots += 1
        path = self.env.path(f"snapshot.{self.snapshots}")
        extra = self.victim.options + (["--terminate"] if terminate else [])
        strangers = set(machine.descendants()) - {self.pid, *machine.descendants(self.pid)}
        if self.victim.increments:
            path = self.increment(extra)
        else:
            self.said(self.env.crs(*self.env.setup.checkpoint, *extra, "--json", "--output", path,
                                   self.pid, timeout=self.tool_s))
        expect(os.path.exists(os.path.join(path, "manifest.json")), f"{path} has no manifest")
        if not terminate:
            self.expect_running("after the checkpoint")
            return path
        code = self.env.wait_gone(self.pid, self.gone_s)
        expect(code in (None, -signal.SIGKILL),
               f"after --terminate the victim ended with {code}, expected SIGKILL")
        self.end_foreground(killed=True)
        self.env.expect_alone(strangers, "after --terminate")
        return path

    def increment(self, extra):
        """The second of two, of which the first is gone again."""
        name = f"victim{self.snapshots}"
        whole = [word for word in extra if word != "--terminate"]
        for options in (whole, extra):
            self.env.crs(*self.env.setup.checkpoint, *options, "--name", name, self.pid,
                         timeout=self.tool_s)
            if options is whole:
                self.expect_running("after the first of two checkpoints")
        self.env.crs("remove", f"{name}@1")
        self.env.crs("verify", f"{name}@2", timeout=self.tool_s)
        return os.path.join(self.env.store, name, "2")

    def said(self, out):
        """For those who want to know what the tool said."""

    def expect_running(self, what):
        """It runs, and nobody from outside holds any process of it."""
        self.env.expect_running(self.pid, what)
        below = machine.descendants(self.pid)
        for pid in below:
            self.env.expect_free(pid, [self.pid, *below], what)

    def restart(self, path, policy, foreground):
        self.restarts += 1
        pid_file = self.env.path(f"pid.{self.restarts}")
        command = [*self.victim.restart, *([f"--pids={policy}"] if policy else []), "--pid-file", pid_file]
        if foreground:
            self.foreground = self.env.start(self.env.setup.crs, *command, path,
                                             stdout=f"stdout.{self.restarts}",
                                             stderr=f"stderr.{self.restarts}")
            machine.wait_for(lambda: self.ended() or machine.read(pid_file),
                             self.tool_s * self.env.patience)
        else:
            done = self.env.start(self.env.setup.crs, *command, "--detach", path,
                                  stdout=f"stdout.{self.restarts}",
                                  stderr=f"stderr.{self.restarts}")
            if not machine.wait_for(lambda: done.poll() is not None,
                                    self.tool_s * self.env.patience):
                raise Failure(f"crs restart --detach did not end in {self.tool_s} s:\n"
                              + machine.describe(done.pid))
            expect(done.returncode == 0, f"crs restart: exit code {done.returncode}: "
                   + self.env.tail(f"stderr.{self.restarts}"))
        text = machine.read(pid_file)
        expect(text and text.strip().isdigit(),
               f"crs restart wrote no PID to its --pid-file: {text!r}")
        before, self.pid = self.pid, int(text)
        if policy == "same":
            expect(self.pid == before, f"--pids=same: PID {before} came back as {self.pid}")

    def through_a_pipe(self, policy):
        """Out of one process and into the next, without a file in between."""
        self.restarts += 1
        pid_file = self.env.path(f"pid.{self.restarts}")
        line = ('set -o pipefail; "$0" checkpoint --terminate --output - "$1" | '
                '"$0" "${@:4}" --detach --pids="$2" --pid-file "$3" -')
        got, _, err = self.env.run("bash", "-c", line, self.env.setup.crs, self.pid, policy,
                                   pid_file, *self.victim.restart, timeout=2 * self.tool_s)
        expect(got == 0, f"through a pipe: exit code {got}: {err.strip()}")
        code = self.env.wait_gone(self.pid, self.gone_s)
        expect(code in (None, -signal.SIGKILL) or policy == "same",
               f"after --terminate the victim ended with {code}, expected SIGKILL")
        self.end_foreground(killed=True)  # of a victim that was isolated: its crs run
        self.pid = int(machine.read(pid_file))

    def ended(self):
        return self.foreground is not None and self.foreground.poll() is not None

    def end_foreground(self, killed):
        """The crs restart in the foreground ends as the program ended."""
        if self.foreground is None:
            return
        ended = machine.wait_for(self.ended, 10 * self.env.patience)
        expect(ended, "crs restart did not end with its program")
        wanted = (-signal.SIGKILL, 128 + signal.SIGKILL) if killed else (0,)
        expect(self.foreground.returncode in wanted,
               f"crs restart ended with {self.foreground.returncode}, expected {wanted[0]}")
        self.foreground = None

    def stop(self):
        """The victim ends by itself, with 0."""
        with open(os.path.join(self.work, "stop"), "w", encoding="ascii"):
            pass
        code = self.env.wait_gone(self.pid, self.gone_s)
        expect(code in (None, 0), f"at its end the victim ended with {code}")
        self.end_foreground(killed=False)


# ---- the situations ----

def continued(victim):
    def run(env):
        play = Play(env, victim)
        play.start()
        for _ in range(2):
            play.checkpoint()
            play.ask("continue")
        play.stop()
    return run


def restarted(victim, policy, foreground):
    """Terminate and restart, go on, again: what was restarted is as good as what was started."""
    def run(env):
        if policy == "namespace":
            reason = machine.user_namespaces_work(env.uid, env.gid)
            if reason:
                raise Skip(reason)
        play = Play(env, victim)
        play.start()
        path = play.checkpoint(terminate=True)
        env.crs("verify", path)
        play.restart(path, policy, foreground)
        play.ask(policy)
        play.checkpoint()
        play.ask("continue")
        path = play.checkpoint(terminate=True)
        play.restart(path, policy, False)
        play.ask(policy)
        play.stop()
    return run


def streamed(victim, policy):
    """Through a pipe, and once more by way of a file in stream form."""
    def run(env):
        if policy == "namespace":
            reason = machine.user_namespaces_work(env.uid, env.gid)
            if reason:
                raise Skip(reason)
        play = Play(env, victim)
        play.start()
        play.through_a_pipe(policy)
        play.ask(policy)
        path = env.path("stream")
        env.crs(*env.setup.checkpoint, "--terminate", "--form", "stream", "--output", path, play.pid,
                timeout=play.tool_s)
        env.wait_gone(play.pid, play.gone_s)
        env.crs("verify", path)
        play.restart(path, policy, False)
        play.ask(policy)
        play.stop()
    return run


def refused(victim):
    def run(env):
        play = Play(env, victim)
        play.start()
        for options in ([], ["--terminate"]):
            path = env.path("snapshot")
            env.crs(*env.setup.checkpoint, *options, "--output", path, play.pid, code=5)
            expect(victim.refused in env.last_stderr,
                   f"the refusal does not say {victim.refused!r}: {env.last_stderr.strip()}")
            expect(not os.path.exists(path), "a refused checkpoint left a snapshot")
            play.expect_running("after the refusal")
            play.ask("continue")
        play.stop()
    return run


def same_as_user(victim):
    """The saved PIDs without privilege: refused in words, nothing started."""
    def run(env):
        play = Play(env, victim)
        play.start()
        path = play.checkpoint(terminate=True)
        env.crs("restart", "--detach", "--pids=same", path, code=4)
        expect("CAP_CHECKPOINT_RESTORE" in env.last_stderr,
               f"the refusal does not name the capability: {env.last_stderr.strip()}")
        play.restart(path, "new", False)
        play.ask("new")
        play.stop()
    return run


def same_when_taken(victim):
    """A PID that is in use: --pids=same is refused (75), the other policies work beside it."""
    def run(env):
        play = Play(env, victim)
        play.start()
        path = play.checkpoint()
        env.crs("restart", "--detach", "--pids=same", path, code=75)
        play.ask("continue")
        play.stop()
    return run


def cases(setup):
    from . import isolated  # it stands on this file

    sources = sorted(glob.glob(os.path.join(setup.top, "tests", "victims", "*.c")))
    victims = [Victim(setup, source) for source in sources]
    found = []
    for victim in victims:
        for user in ("root", "user"):
            if user not in victim.without:
                found += victim_cases(setup, victim, user)
        if "user" not in victim.without:
            found += isolated.cases(setup, victim)
    plain = next((v for v in victims if v.name == "memory_private"), None) or \
        next((v for v in victims if not v.refused and not v.without), None)
    if plain:
        found.append(Case("victims/policy/user/same", staged(setup, plain, same_as_user(plain)),
                          "user"))
        found.append(Case("victims/policy/root/taken", staged(setup, plain, same_when_taken(plain)),
                          "root"))
    return found


def victim_cases(setup, victim, user):
    base = f"victims/{victim.name}/{user}"
    if victim.refused:
        return [Case(f"{base}/refused", staged(setup, victim, refused(victim)), user)]
    found = []
    if "continue" not in victim.without:
        found.append(Case(f"{base}/continue", staged(setup, victim, continued(victim)), user))
    for policy in POLICIES[user]:
        if policy not in victim.without:
            name = f"{base}/{policy}"
            foreground = zlib.crc32(name.encode()) % 3 == 0
            found.append(Case(name, staged(setup, victim, restarted(victim, policy, foreground)),
                              user))
    policies = [p for p in POLICIES[user] if p not in victim.without and p != "same"]
    chance = zlib.crc32(victim.name.encode())
    if policies and user == ("root", "user")[chance % 2 if len(victim.without) == 0 else 0]:
        policy = policies[chance // 2 % len(policies)]
        found.append(Case(f"{base}/stream", staged(setup, victim, streamed(victim, policy)), user))
    return found


def staged(setup, victim, run):
    """The victim is built and copied when its first case is to run."""
    def make(target):
        build.compile_c(*victim.job)
        shutil.copy(victim.binary, target)

    def wrapped(env):
        try:
            build.once(setup, f"victims/{victim.name}", make)
        except build.BuildError as error:
            raise Failure(str(error)) from None
        try:
            with machine.huge_pages(victim.huge_pages()):
                run(env)
        except ValueError as reason:
            raise Skip(str(reason)) from None
    return wrapped
