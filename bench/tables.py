"""Results in tables: for a reader, and in Markdown."""


def seconds(value):
    if value is None:
        return "-"
    if value < 0.001:
        return "%.0f us" % (value * 1e6)
    if value < 0.1:
        return "%.1f ms" % (value * 1e3)
    if value < 1:
        return "%.0f ms" % (value * 1e3)
    return "%.2f s" % value


def size(value):
    if value is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return "%.4g %s" % (value, unit)
        value /= 1024
    return "%.2f GiB" % value


def mib(n):
    return "%d GiB" % (n // 1024) if n >= 1024 and n % 1024 == 0 else "%d MiB" % n


def ratio(value, limit=None):
    if value is None:
        return "-"
    return "%.2f%s" % (value, " !" if limit and value > limit else "")


def share(value):
    """Of a whole, in percent."""
    if value is None:
        return "-"
    percent = 100 * value
    return "%.0f %%" % percent if abs(percent) >= 10 else "%.2g %%" % percent


def markdown(title, columns, rows):
    """columns: the headings, with a | where a line may be broken; rows: lists of text."""
    lines = ["**%s**" % title, "",
             "| " + " | ".join(c.replace("|", " ") for c in columns) + " |",
             "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def plain(title, columns, rows):
    """The same for a terminal."""
    rows = [[str(cell) for cell in row] for row in rows]
    height = max(c.count("|") for c in columns) + 1
    heads = [[""] * (height - 1 - c.count("|")) + c.split("|") for c in columns]
    widths = [max(map(len, head + [row[i] for row in rows])) for i, head in enumerate(heads)]
    lines = [title]
    for line in range(height):
        lines.append("  " + "  ".join(h[line].rjust(w) for h, w in zip(heads, widths)).rstrip())
    for row in rows:
        lines.append("  " + "  ".join(cell.rjust(w) for cell, w in zip(row, widths)))
    return "\n".join(lines) + "\n"
