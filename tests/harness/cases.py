"""What a case is, and how it ends: it returns (passed), or raises Failure or Skip."""
import dataclasses
import typing


class Failure(Exception):
    """The case failed; the text says what was expected and what came."""


class Skip(Exception):
    """The case can't run here; the text is the reason."""


@dataclasses.dataclass
class Case:
    name: str  # PART/WHAT/..., what --filter matches
    run: typing.Callable  # run(env): env is a harness.env.Env
    user: str = "any"  # who runs the tool: "root", "user", or "any" (who runs the tests)
    timeout: int = 120  # seconds
    alone: bool = False  # measures the machine: nothing else may run beside it
    setup: typing.Any = None  # a harness.env.Setup of its own; None: that of the run

    @property
    def part(self):
        return self.name.split("/")[0]


def expect(condition, text):
    if not condition:
        raise Failure(text)
