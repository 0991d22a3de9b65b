"""Cases that are programs of their own: unit tests, lints, tests of the command.

Exit code 0: passed; 77: skipped, the last line of output says why; anything else: failed.
"""
import json
import os
import subprocess

from .cases import Case, Failure, Skip


def judge(code, out, err, words):
    if code == 77:
        raise Skip(((out + err).strip().splitlines() or ["no reason given"])[-1])
    if code != 0:
        raise Failure(f"{words}: exit code {code}")


def script_case(name, command, user, timeout=120):
    def run(env):
        code, out, err = env.run(*command, timeout=timeout)
        judge(code, out, err, os.path.basename(command[0]))
    return Case(name, run, user, timeout + 30)


def scripts_of(setup, part):
    directory = os.path.join(setup.top, "tests", part)
    for name in sorted(os.listdir(directory) if os.path.isdir(directory) else []):
        path = os.path.join(directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            yield name, path


def lint_cases(setup):
    return [script_case(f"lint/{name}", [path], "any")
            for name, path in scripts_of(setup, "lint")]


def cli_cases(setup):
    """Each runs from a copy that any user can read, as root and as an ordinary user."""
    found = []
    for name, path in scripts_of(setup, "cli"):
        for user in ("root", "user"):
            found.append(Case(f"cli/{name}/{user}", cli_run(setup, path), user, 180))
    return found


def cli_run(setup, path):
    def run(env):
        copy_directory(setup, "cli")
        copy = os.path.join(setup.stage, "tests-cli", os.path.basename(path))
        code, out, err = env.run(copy, timeout=120)
        judge(code, out, err, os.path.basename(path))
    return run


def copy_directory(setup, part):
    import shutil

    from . import build

    build.once(setup, f"tests-{part}/.copied", lambda mark: (
        shutil.copytree(os.path.join(setup.top, "tests", part), os.path.dirname(mark),
                        dirs_exist_ok=True),
        open(mark, "w", encoding="ascii").close()))


def unit_cases(setup):
    """What meson knows as tests."""
    done = subprocess.run(["meson", "introspect", "--tests", setup.build], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        return []
    return [unit_case(test) for test in json.loads(done.stdout)]


def unit_case(test):
    def run(env):
        command = ["env", *(f"{k}={v}" for k, v in test["env"].items())]
        if test.get("workdir"):
            command += ["-C", test["workdir"]]
        code, out, err = env.run(*command, *test["cmd"], timeout=test["timeout"] or 600)
        judge(code, out, err, test["name"])
    return Case(f"unit/{test['name']}", run, "any", (test["timeout"] or 600) + 30)
