"""Aligned columns of text."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines, cells padded to the widest of their column; columns empty in every row below the first go."""
    kept = [index for index in range(len(rows[0])) if any(row[index] for row in rows[1:])]
    widths = {index: max(len(row[index]) for row in rows) for index in kept}
    return "\n".join("  ".join(row[index].ljust(widths[index]) for index in kept).rstrip() for row in rows)


def format_bytes(count: int) -> str:
    """In decimal units, as object stores show them: `269.1 MB`."""
    if count < 1000:
        return f"{count} B"
    value, units = float(count), iter(("kB", "MB", "GB", "TB", "PB"))
    unit = ""
    while value >= 999.95:
        value, unit = value / 1000, next(units)
    return f"{value:.1f} {unit}"
