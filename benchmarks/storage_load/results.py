"""The table of transfers, and the goals."""

from collections.abc import Sequence

from benchmarks.measurements import Measurement, at_least, at_most, figure
from benchmarks.storage_load.measuring import S5CMD, Row
from rich.table import Table

OURS = "ours"
TITLES = {
    OURS: "paft",
    "s3transfer": "boto3, s3transfer, 8 MiB × 8",
    "crt": "boto3 with the CRT",
    "obstore": "obstore",
    "processes": "boto3, 2 processes",
    S5CMD: "s5cmd",
}
LEAST_OF_S5CMD = 0.9
MOST_GROWN_MB = 256.0
_MB = 1e6


def transfer_table(rows: Sequence[Row], conditions: str) -> Table:
    """One line for each client and direction."""
    table = Table(title=f"Transfers of {rows[0].size / 1e9:.2f} GB", caption=conditions)
    for column in ("client", "direction", "seconds", "MB/s", "× s5cmd", "CPU s/GB", "grown by, MB"):
        table.add_column(column, justify="left" if column in ("client", "direction") else "right")
    for row in rows:
        table.add_row(
            TITLES[row.client],
            row.direction,
            f"{row.seconds:.2f}",
            f"{row.megabytes_per_second:.0f}",
            f"{_ratio(rows, row):.2f}",
            f"{row.cpu_seconds_per_gigabyte:.2f}",
            f"{row.grown_bytes / _MB:.0f}",
        )
    return table


def transfer_measurements(rows: Sequence[Row]) -> list[Measurement]:
    """Every figure; those of ours that have a goal with it."""
    found = []
    for row in rows:
        name = f"{TITLES[row.client]}, {row.direction}, {row.size / 1e9:.2f} GB"
        found.append(figure(f"{name}: rate", row.megabytes_per_second, "MB/s"))
        found.append(figure(f"{name}: CPU seconds per GB", row.cpu_seconds_per_gigabyte, "s/GB"))
        if row.client != OURS:
            found.append(figure(f"{name}: × s5cmd", _ratio(rows, row)))
            found.append(figure(f"{name}: growth of resident memory", row.grown_bytes / _MB, "MB"))
    ours = [row for row in rows if row.client == OURS]
    found += [at_least(f"{row.direction}: × s5cmd", _ratio(rows, row), LEAST_OF_S5CMD) for row in ours]
    return found + growth_goals(ours)


def growth_goals(rows: Sequence[Row]) -> list[Measurement]:
    """Of our resident memory, at this size."""
    return [
        at_most(
            f"{row.direction}, {row.size / 1e9:.2f} GB: growth of resident memory",
            row.grown_bytes / _MB,
            MOST_GROWN_MB,
            "MB",
        )
        for row in rows
    ]


def _ratio(rows: Sequence[Row], row: Row) -> float:
    """Of rates."""
    peer = next(other for other in rows if other.client == S5CMD and other.direction == row.direction)
    return row.megabytes_per_second / peer.megabytes_per_second
