"""Tables for people."""


def table(heads, rows):
    """The first column to the left, the others to the right."""
    rows = [tuple(heads), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def mebibytes(used):
    return f"{used / 2**20:.1f} MiB"
