"""The merges' figures: a row per program, compared with the copy in the same place, and the goals they have to meet."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.measurements import Measurement, at_least, at_most, figure
from benchmarks.merge_load.measured_run import Cost
from benchmarks.merge_load.ours import DARE_TIES, LINEAR, SWEEP, TIES, TIES_MODEL
from benchmarks.merge_load.places import FILES
from rich.table import Table

COPY = "copy with SHA-256"
MERGEKIT_COLD = "mergekit, ties, cold"
WALL_LIMITS = {LINEAR.name: 1.2, TIES.name: 2.0, TIES_MODEL.name: 2.0, DARE_TIES.name: 3.0}
"""By merge, file to file: wall time over that of the copy."""
NANOSECONDS_LIMIT = 8.0
PEAK_LIMIT_MEGABYTES = 512.0
PEAK_GROWTH_LIMIT = 1.1
MERGEKIT_FACTOR = 30.0
ONCE_LIMIT = 1.02
SWEEP_LIMIT = 3.0
COLUMNS = (
    "program",
    "runs",
    "wall, s",
    "/ copy",
    "CPU, s",
    "ns/element",
    "without start",
    "peak, MB",
    "read, GB",
    "written, GB",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One program's runs. `place`: files or S3. `start`: what the same merge of next to nothing costs, for ours."""

    program: str
    place: str
    costs: tuple[Cost, ...]
    start: Cost | None = None

    @property
    def cost(self) -> Cost:
        """That of the run with the median wall time."""
        return sorted(self.costs, key=lambda cost: cost.wall_seconds)[len(self.costs) // 2]

    @property
    def peak_megabytes(self) -> float:
        """The largest of all runs."""
        return max(cost.peak_bytes for cost in self.costs) / 1e6


@dataclass(frozen=True, kw_only=True)
class ByteCounts:
    """Bytes of one merge that belong to weights."""

    base_read: int
    output_written: int


@dataclass(frozen=True, kw_only=True)
class Results:
    """All rows of one size. `adapted_elements`: entries of the weights that get a delta."""

    size: str
    adapted_elements: int
    rows: tuple[Row, ...]

    def row(self, program: str, place: str = FILES) -> Row:
        """The row of a program that was measured."""
        return next(row for row in self.rows if (row.program, row.place) == (program, place))

    def over_copy(self, row: Row) -> float:
        """Wall time over that of the copy in the same place."""
        return row.cost.wall_seconds / self.row(COPY, row.place).cost.wall_seconds

    def nanoseconds(self, cost: Cost) -> float:
        """CPU time per adapted element."""
        return cost.cpu_seconds / self.adapted_elements * 1e9

    def nanoseconds_without_start(self, row: Row) -> float | None:
        """The same less the CPU time of a merge of next to nothing; None for peers."""
        if row.start is None:
            return None
        return self.nanoseconds(row.cost) - self.nanoseconds(row.start)


def results_table(results: Results, place: str, footer: str) -> Table:
    """One line per program of a place."""
    table = Table(title=f"{results.size}, {place}", caption=footer, caption_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "program" else "right")
    for row in results.rows:
        if row.place == place:
            table.add_row(*_cells(row, results))
    return table


def _cells(row: Row, results: Results) -> tuple[str, ...]:
    cost, without_start = row.cost, results.nanoseconds_without_start(row)
    return (
        row.program,
        str(len(row.costs)),
        f"{cost.wall_seconds:.2f}",
        f"{results.over_copy(row):.2f}",
        f"{cost.cpu_seconds:.2f}",
        f"{results.nanoseconds(cost):.1f}",
        "" if without_start is None else f"{without_start:.1f}",
        f"{row.peak_megabytes:.0f}",
        *((f"{cost.read / 1e9:.2f}", f"{cost.written / 1e9:.2f}") if row.place == FILES else ("", "")),
    )


def measurements_of(results: Results) -> list[Measurement]:
    """Figures of every row, without goals."""
    return [measurement for row in results.rows for measurement in _figures(row, results)]


def _figures(row: Row, results: Results) -> list[Measurement]:
    name, cost = f"{results.size}, {row.place}, {row.program}", row.cost
    without_start = results.nanoseconds_without_start(row)
    return [
        figure(f"{name}: wall", cost.wall_seconds, "s"),
        figure(f"{name}: wall over the copy", results.over_copy(row)),
        figure(f"{name}: CPU", cost.cpu_seconds, "s"),
        figure(f"{name}: CPU per element", results.nanoseconds(cost), "ns"),
        *([] if without_start is None else [figure(f"{name}: CPU per element without start", without_start, "ns")]),
        figure(f"{name}: peak", row.peak_megabytes, "MB"),
        *([figure(f"{name}: read", cost.read, "bytes")] if row.place == FILES else []),
        *([figure(f"{name}: written", cost.written, "bytes")] if row.place == FILES else []),
    ]


def speed_goals(results: Results) -> list[Measurement]:
    """File to file: near the copy's wall time, few nanoseconds per element, a sweep at little more than its bytes."""
    rows = {name: results.row(name) for name in WALL_LIMITS}
    copy, ties = results.row(COPY).cost, rows[TIES.name].cost
    sweep = results.row(SWEEP.name).cost.wall_seconds - (SWEEP.checkpoints - 1) * copy.wall_seconds
    return [
        *(
            at_most(f"{name}: wall over the copy with SHA-256", results.over_copy(rows[name]), limit)
            for name, limit in WALL_LIMITS.items()
        ),
        *(
            at_most(f"{name}: CPU per adapted element", results.nanoseconds(row.cost), NANOSECONDS_LIMIT, "ns")
            for name, row in rows.items()
        ),
        at_most(
            f"{SWEEP.name}: wall less {SWEEP.checkpoints - 1} copies, over one ties merge",
            sweep / ties.wall_seconds,
            SWEEP_LIMIT,
        ),
    ]


def mergekit_goal(results: Results) -> Measurement:
    """How many times faster than mergekit from a base and two adapters."""
    ratio = results.row(MERGEKIT_COLD).cost.wall_seconds / results.row(TIES.name).cost.wall_seconds
    return at_least("ties: times faster than mergekit, cold", ratio, MERGEKIT_FACTOR)


def memory_goals(results: Results) -> list[Measurement]:
    """Of the merge that takes most in each place."""
    largest: dict[str, Row] = {}
    for row in sorted(results.rows, key=lambda row: row.peak_megabytes):
        if row.start is not None:
            largest[row.place] = row
    return [
        at_most(f"{place}: largest peak memory ({row.program})", row.peak_megabytes, PEAK_LIMIT_MEGABYTES, "MB")
        for place, row in sorted(largest.items())
    ]


def growth_goals(results: Results, smaller: Mapping[str, Cost], size: str) -> list[Measurement]:
    """Peaks against those of a smaller model, file to file."""
    return [
        at_most(
            f"{name}: peak memory over that at {size}",
            results.row(name).peak_megabytes / (cost.peak_bytes / 1e6),
            PEAK_GROWTH_LIMIT,
        )
        for name, cost in smaller.items()
    ]


def byte_goals(merge: str, place: str, counts: ByteCounts, weight_bytes: int) -> list[Measurement]:
    """The base's weights are read once, the output's written once. `weight_bytes`: of all tensors."""
    read, written = counts.base_read / weight_bytes, counts.output_written / weight_bytes
    return [
        at_most(f"{merge}, {place}: bytes of the base's weights read, over their size", read, ONCE_LIMIT),
        at_most(f"{merge}, {place}: bytes of weights written, over their size", written, ONCE_LIMIT),
    ]


def conditions(cores: int, processor: str, disk: str, start: Cost) -> str:
    """What the figures hold for. `start`: of a merge of next to nothing."""
    return (
        f"{cores} cores of {processor}, {disk}. Fresh processes; what they read is in the page cache, what they write "
        f"is flushed to the disk. The base's digest is known, as after prepare, and kernels are compiled. A merge of "
        f"next to nothing takes {start.wall_seconds:.1f} s. Read and written: by system calls on files, not through "
        "sockets and memory maps."
    )
