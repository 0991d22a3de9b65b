"""How many victims came through, as whom, and how many cases in which mode: lines at the end."""

WHO = {"root": "as root", "user": "as a user", "isolated": "in an isolated job"}
WORDS_MAX = 60


class Tally:
    """Fed with each case's verdict; a case of a victim is victims/NAME/WHO/SITUATION, one of a mode
    modes/MODE/NAME."""

    def __init__(self, cases):
        self.all = {}  # who -> name -> situation -> (verdict, words)
        self.by_mode = {}  # mode -> case -> verdict
        for case in cases:
            self.place(case)

    def place(self, case):
        parts = case.name.split("/")
        if parts[0] != "victims" or parts[1] == "policy" or parts[2] not in WHO:
            return None
        return self.all.setdefault(parts[2], {}).setdefault(parts[1], {})

    def add(self, case, verdict, words):
        place = self.place(case)
        if case.part == "modes":
            self.by_mode.setdefault(case.name.split("/")[1], {})[case.name] = verdict
        if place is not None:
            place[case.name.rpartition("/")[2]] = (verdict, words)  # the last chance counts

    def lines(self):
        """None where no case is of a victim or a mode."""
        return [line for line in (self.line(), self.modes()) if line]

    def modes(self):
        words = [f"{mode} {sum(verdict == 'passed' for verdict in verdicts.values())}"
                 f" of {len(verdicts)}" for mode, verdicts in self.by_mode.items()]
        return "modes: " + ", ".join(words) if words else ""

    def line(self):
        parts = [self.part(who) for who in WHO if who in self.all]
        return "victims: " + ", ".join(parts) if parts else ""

    def part(self, who):
        victims = self.all[who]
        failed = [name for name, cases in victims.items()
                  if any(verdict == "failed" for verdict, _ in cases.values())]
        passed = [name for name, cases in victims.items() if name not in failed
                  and any(verdict == "passed" for verdict, _ in cases.values())]
        notes = [f"{len(failed)} failed: {', '.join(failed)}"] if failed else []
        notes += self.skipped(who, set(failed + passed))
        refused = [name for name in passed
                   if any(situation.startswith("refused") for situation in victims[name])]
        if refused:
            notes.append(f"{len(refused)} are refused by name")
        rest = set(self.all.get("root", {})) - set(victims)
        if who != "root" and rest:
            notes.append(f"{len(rest)} more need privilege")
        return f"{WHO[who]} {len(passed)} of {len(victims)}" + \
            (f" ({'; '.join(notes)})" if notes else "")

    def skipped(self, who, others):
        reasons = {}
        for name, cases in self.all[who].items():
            if name not in others:
                words = next((words for _, words in cases.values() if words), "not run")
                reasons.setdefault(words[:WORDS_MAX], []).append(name)
        count = sum(len(names) for names in reasons.values())
        told = [f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}: {reason}"
                for reason, names in reasons.items()]
        return [f"{count} skipped: {'; '.join(told)}"] if count else []
