"""Real programs: checkpointed, killed, restarted, and their answer compared with the known one.

A file of tests/programs is one program. Its first lines say, as `key: value`:
    variants: NAME ...  one program for each, called FILE_NAME, with {variant} in its commands
    needs: TOOL ...     skipped where one of these is missing (in PATH, or a pattern of /PATHS)
    optional: yes       skipped even where everything is to be there (tests/run --require-all)
    build: COMMAND      {src} is the file, {bin} the program to make, {top} the source tree
    run: COMMAND        default {bin}; {work} is an empty directory, the working directory
    stdin: FILE         default /dev/null
    watch: FILE         where it writes a line for each step of progress; default: its stdout
    progress: N         lines to wait for before the first checkpoint (1)
    answer: TEXT        the last line of its stdout when all went well
    until: FILE         it goes on until this is in {work}, so that no checkpoint comes too late
    cycles: N           how often it is ended and restarted (1)
    full: yes           it takes long (to build, say): only with tests/run --full
    users: NAME ...     only as root, or only as user
    situations: -new    as for victims
    refused: WORDS      it can't be checkpointed yet: exit code 5, these words, and it ends well
Each writes one line of progress every now and then, and runs a few seconds in all (with `until`,
as long as it is wanted).
"""
import glob
import os
import shlex
import shutil
import signal
import subprocess

from . import build, machine
from .cases import Case, Failure, Skip, expect

POLICIES = {"root": ("same", "new"), "user": ("namespace", "new")}


class Program:
    def __init__(self, setup, source, variant=""):
        self.source, self.variant = source, variant
        self.name = os.path.splitext(os.path.basename(source))[0] + (variant and "_" + variant)
        self.header = build.header(source)
        self.progress = int(self.header.get("progress", "1"))
        self.cycles = int(self.header.get("cycles", "1"))
        self.users = self.header.get("users", "root user").split()
        self.without = {word[1:] for word in self.header.get("situations", "").split()}
        self.setup = setup
        self.staged_source = os.path.join(setup.stage, "programs", os.path.basename(source))
        self.binary = os.path.join(setup.stage, "programs", self.name + ".bin")

    def missing(self):
        return [tool for tool in self.header.get("needs", "").split()
                if not (glob.glob(tool) if tool.startswith("/") else shutil.which(tool))]

    def command(self, key, env):
        text = self.header.get(key, "{bin}" if key == "run" else "")
        return [word.format(src=self.staged_source, bin=self.binary, work=env.path("work"),
                            top=self.setup.top, variant=self.variant)
                for word in shlex.split(text)]

    def prepare(self, env):
        """Build and copy it, once for all its cases."""
        missing = self.missing()
        if missing:
            text = f"not installed: {', '.join(missing)}"
            if self.setup.options.require_all and "optional" not in self.header:
                raise Failure(text)
            raise Skip(text)
        build.once(self.setup, "programs/" + os.path.basename(self.source),
                   lambda target: shutil.copy(self.source, target))
        if "build" in self.header:
            build.once(self.setup, f"programs/{self.name}.bin", lambda _: self.compile(env))

    def compile(self, env):
        environment = dict(os.environ) | {"TMPDIR": env.dir, "GOCACHE": env.path("cache")}
        done = subprocess.run(self.command("build", env), env=environment, cwd=env.dir, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode != 0:
            raise Failure(f"{self.header['build']}:\n{done.stdout}{done.stderr}")


class Show:
    """One program in one case."""

    def __init__(self, env, program):
        self.env, self.program = env, program
        program.prepare(env)
        self.work = env.mkdir("work")
        self.process = None
        self.pid = None
        self.snapshots = 0

    def command(self):
        return self.program.command("run", self.env)

    def start(self):
        command = self.command()
        stdin = self.program.header.get("stdin")
        source = stdin.format(src=self.program.staged_source) if stdin else os.devnull
        kwargs = self.env.popen_kwargs() | {"cwd": self.work}
        out, err = self.env.create("stdout"), self.env.create("stderr")
        with open(source, "rb") as inp, open(out, "r+b") as out, open(err, "r+b") as err:
            self.process = subprocess.Popen(command, stdin=inp, stdout=out, stderr=err,
                                            start_new_session=True,
                                            preexec_fn=machine.traceable, **kwargs)
        self.env.started.append(self.process)
        self.env.note(command, f"started as PID {self.process.pid}")
        self.pid = self.process.pid

    def lines(self):
        watched = self.program.header.get("watch")
        path = os.path.join(self.work, watched) if watched else self.env.path("stdout")
        return (machine.read(path) or "").count("\n")

    def wait_progress(self, n):
        def there():
            return self.lines() >= n or not machine.alive(self.pid)

        machine.wait_for(there, 60 * self.env.patience)
        if not machine.alive(self.pid):
            raise Failure(f"it ended after {self.lines()} lines of progress, before it was to be "
                          "checkpointed" + self.state())
        expect(self.lines() >= n, f"no progress beyond {self.lines()} lines:\n"
               + machine.describe(self.pid))

    def state(self):
        return "\n" + self.env.tail("stdout", 1000) + self.env.tail("stderr")

    def checkpoint(self, name, *options):
        """The path of the snapshot. With increments all have one name, and each shares with the one
        before, which is gone before it is used."""
        env = self.env
        if not env.setup.increments:
            env.crs(*env.setup.checkpoint, *options, "--output", env.path(name), self.pid)
            return env.path(name)
        self.snapshots += 1
        env.crs(*env.setup.checkpoint, *options, "--name", "program", self.pid)
        if self.snapshots > 1:
            env.crs("remove", f"program@{self.snapshots - 1}")
        return os.path.join(env.store, "program", str(self.snapshots))

    def restarted(self, policy, before, cycle):
        """Checkpoint and end it, and bring it back; the process that stands for it."""
        env, pid_file = self.env, self.env.path(f"pid.{cycle}")
        snapshot = self.checkpoint(f"second.{cycle}", "--terminate")
        code = env.wait_gone(before.pid if before else self.pid)
        expect(code == -signal.SIGKILL, f"after --terminate it ended with {code}")
        env.expect_alone(set(), "after --terminate")
        restart = env.start(env.setup.crs, *env.setup.restart, f"--pids={policy}",
                            "--pid-file", pid_file, snapshot,
                            stdout="stdout.restart", stderr="stderr.restart")
        machine.wait_for(lambda: machine.read(pid_file) or restart.poll() is not None,
                         30 * env.patience)
        self.pid = int(machine.read(pid_file) or 0) or restart.pid
        return restart

    def end(self, process, what):
        """Wait for the end of the process that stands for it, and judge the answer."""
        if "until" in self.program.header:
            open(os.path.join(self.work, self.program.header["until"]), "xb").close()
        if not machine.wait_for(lambda: process.poll() is not None, 90 * self.env.patience):
            raise Failure(f"{what}: it did not end:\n{machine.describe(self.pid)}" + self.state())
        expect(process.returncode == 0, f"{what}: ended with {process.returncode}" + self.state())
        lines = (machine.read(self.env.path("stdout")) or "").splitlines() or [""]
        answer = self.program.header.get("answer")
        expect(lines[-1] == answer, f"{what}: the answer is {lines[-1]!r}, expected {answer!r}"
               + self.state())


def survived(program, policy):
    def run(env):
        if policy == "namespace":
            reason = machine.user_namespaces_work(env.uid, env.gid)
            if reason:
                raise Skip(reason)
        show = Show(env, program)
        show.start()
        show.wait_progress(program.progress)
        show.checkpoint("first")
        env.expect_running(show.pid, "after the checkpoint")
        restart = None
        for cycle in range(program.cycles):
            show.wait_progress(show.lines() + 1)
            restart = show.restarted(policy, restart, cycle)
            if "until" in program.header:
                show.wait_progress(show.lines() + 1)
        show.end(restart, f"restarted with --pids={policy}")
    return run


def undisturbed(program):
    """Checkpointed three times while it runs, it comes to its answer all the same."""
    def run(env):
        show = Show(env, program)
        show.start()
        for i in range(3):
            try:
                show.wait_progress(max(program.progress, show.lines() + (1 if i else 0)))
                show.checkpoint(f"snapshot.{i}")
            except Failure:  # it may come to its end before, since it runs meanwhile
                if i == 0 or show.process.poll() is None:
                    raise
                break
        show.end(show.process, "checkpointed while it ran")
    return run


def refused(program):
    def run(env):
        show = Show(env, program)
        show.start()
        show.wait_progress(program.progress)
        env.crs(*env.setup.checkpoint, "--output", env.path("snapshot"), show.pid, code=5)
        words = program.header["refused"]
        expect(words in env.last_stderr,
               f"the refusal does not say {words!r}: {env.last_stderr.strip()}")
        show.end(show.process, "after the refusal")
    return run


def programs(setup):
    directory = os.path.join(setup.top, "tests", "programs")
    for name in sorted(os.listdir(directory)):
        source = os.path.join(directory, name)
        for variant in build.header(source).get("variants", "").split() or [""]:
            yield Program(setup, source, variant)


def cases(setup):
    from . import isolated  # it stands on this file

    found = []
    for program in programs(setup):
        if "answer" not in program.header:
            continue
        if "full" in program.header and not setup.options.full:
            continue
        for user in program.users:
            base = f"programs/{program.name}/{user}"
            if "refused" in program.header:
                found.append(Case(f"{base}/refused", refused(program), user))
                continue
            found.append(Case(f"{base}/continue", undisturbed(program), user))
            found += [Case(f"{base}/{policy}", survived(program, policy), user)
                      for policy in POLICIES[user] if policy not in program.without]
        if setup.options.full and "user" in program.users and "refused" not in program.header:
            found.append(isolated.program_case(program))
    return found
