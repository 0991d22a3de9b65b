"""The victims and the programs in each mode: how memory is copied, coded, shared and brought back.

Of each victim and each program the one situation that costs least; the others are those of the
parts `victims` and `programs`, with the option of the mode (tests/run --freeze and so on).
"""
import copy

from . import programs, victims

# Name: what is changed of the options of tests/run; whether a refusal may depend on it; as whom.
MODES = {
    "live": ({"freeze": "live"}, True, ("user", "root")),
    "fork": ({"freeze": "fork"}, True, ("user", "root")),
    "stop": ({"freeze": "stop"}, True, ("user", "root")),
    "none": ({"compress": "none"}, False, ("user", "root")),
    "lz4": ({"compress": "lz4"}, False, ("user", "root")),
    "zstd": ({"compress": "zstd:3"}, False, ("user", "root")),
    "increments": ({"increments": True}, False, ("user", "root")),
    "encrypted": ({"encrypt": True, "increments": True}, False, ("user", "root")),
    "encrypted-lazy": ({"encrypt": True, "compress": "lz4", "lazy": True}, False, ("root",)),
    "lazy": ({"lazy": True}, False, ("root",)),  # others get all memory at once
}
SITUATIONS = ("new", "namespace", "same")


def chosen(found, users, refusals):
    """For each victim and program the first user who can have it, and the first situation."""
    by_name = {}
    for case in found:
        place = case.name.rsplit("/", 2)
        if case.user in users and place[1] == case.user and place[0] != "victims/policy":
            by_name.setdefault(place[0], {})[tuple(place[1:])] = case
    wanted = [(user, situation) for user in users for situation in SITUATIONS +
              (("refused",) if refusals else ())]
    for of_one in by_name.values():
        yield from [of_one[place] for place in wanted if place in of_one][:1]


def cases(setup):
    """Cases modes/MODE/victims/... and modes/MODE/programs/..."""
    found = []
    for name, (changed, refusals, users) in MODES.items():
        own = setup.changed(**changed)
        for case in chosen(victims.cases(own) + programs.cases(own), users, refusals):
            case = copy.copy(case)
            case.name, case.setup = f"modes/{name}/{case.name}", own
            found.append(case)
    return found
