"""A text with a place for results."""

import sys


class Document:
    def __init__(self, path, mark):
        self.begin, self.end = "<!-- %s -->\n" % mark, "<!-- end of %s -->\n" % mark
        self.path = path
        with open(path) as f:
            self.text = f.read()
        if self.text.find(self.begin) < 0 or self.text.find(self.end) < self.text.find(self.begin):
            sys.exit("bench: %s has no lines %s and %s" % (path, self.begin.strip(),
                                                           self.end.strip()))

    def put(self, parts):
        at = self.text.index(self.begin) + len(self.begin)
        with open(self.path, "w") as f:
            f.write(self.text[:at] + "\n" + "\n".join(parts) + "\n" +
                    self.text[self.text.index(self.end):])
