"""Each file of examples/ with a `test: COMMAND` line is run by it, as root and as a user."""
import os
import shlex
import shutil

from . import build, libcr, openpal
from .cases import Case, expect


def cases(setup):
    directory = os.path.join(setup.top, "examples")
    found = []
    for name in sorted(os.listdir(directory)):
        source = os.path.join(directory, name)
        if not os.path.isfile(source):
            continue
        test = build.header(source).get("test")
        if test:
            found += [Case(f"examples/{name}/{user}", example(setup, source, test), user)
                      for user in ("root", "user")]
    return found


def example(setup, source, test):
    """{bin}: the built example; {src}: its source; {crs}: the tool; {restart}: opal-restart."""
    stem = os.path.splitext(os.path.basename(source))[0]

    def run(env):
        staged = build.once(setup, "examples/" + os.path.basename(source),
                            lambda target: shutil.copy(source, target))
        binary = os.path.join(setup.build, "examples", stem)
        if os.path.exists(binary):
            binary = build.once(setup, f"examples/{stem}.bin",
                                lambda target: shutil.copy(binary, target))
        command, restart = ["env"], None
        if stem.startswith("opal_"):
            place = openpal.stage(setup)
            restart = os.path.join(place.prefix, "bin", "opal-restart")
            command += place.environment()
        command.append(f"CRS_LIBEXEC={libcr.stage(setup)}/libexec")
        command += [word.format(src=staged, bin=binary, crs=setup.crs, restart=restart)
                    for word in shlex.split(test)]
        code, _, _ = env.run(*command, timeout=90)
        expect(code == 0, f"{test}: exit code {code}")
    return run
