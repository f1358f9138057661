"""The figures of one base, and the goals they have to meet."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.load_runs.bases import Base
from benchmarks.load_runs.measuring import Arms, Loading
from benchmarks.measurements import Measurement, at_least, at_most, exactly, figure
from rich.table import Table

ONCE_LIMIT = 1.02
STOCK_LIMIT = 0.6
RAW_LIMIT = 0.8
MEMORY_LIMIT_MEGABYTES = 256.0
COLUMNS = ("", "runs", "time, s", "MB/s", "sent, / base", "weights on disk, MB", "memory over partition, MB")


@dataclass(frozen=True, kw_only=True)
class Results:
    """Of one base. `loadings`: the runs of each way. `arm`: a whole SFT arm; `both`: both arms with a node's cache."""

    base: Base
    loadings: dict[str, list[Loading]]
    arm: Arms
    both: Arms

    def seconds(self, way: str) -> float:
        """The median."""
        return statistics.median(one.seconds for one in self.loadings[way])

    def megabytes_per_second(self, way: str) -> float:
        """Of the base's weights."""
        return self.base.weights / self.seconds(way) / 1e6

    def most(self, way: str, of: Callable[[Loading], float]) -> float:
        """The largest of all runs."""
        return max(of(one) for one in self.loadings[way])

    def share(self, bytes_: float) -> float:
        """Over all of the base's files."""
        return bytes_ / self.base.size

    @property
    def index(self) -> float:
        """Bytes of the base's index, which is all that loading reads besides the base."""
        return self.most("ours", lambda one: one.sent_beside)

    @property
    def arm_share(self) -> float:
        """Of base and index, for one arm."""
        return self.share(self.arm.sent + self.index)

    @property
    def published(self) -> float:
        """Bytes that an arm reads of its own adapter, when it publishes it."""
        return self.arm.sent_beside - self.index

    @property
    def both_share(self) -> float:
        """Of base and index, for both arms, whose adapters have one size."""
        return self.share(self.both.sent + self.both.sent_beside - 2 * self.published)

    def whole_arms(self) -> list[tuple[str, Arms, float]]:
        """What ran, and its share of base and index."""
        return [
            ("a whole arm", self.arm, self.arm_share),
            ("both arms, with a node's cache", self.both, self.both_share),
        ]


def results_table(results: Results) -> Table:
    """One line for each way to load, and one for whole arms."""
    table = Table(title=f"{results.base.name}, {results.base.weights / 1e6:.0f} MB of weights")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "" else "right")
    for way, loadings in results.loadings.items():
        table.add_row(
            way,
            str(len(loadings)),
            f"{results.seconds(way):.2f}",
            f"{results.megabytes_per_second(way):.0f}",
            f"{results.share(results.most(way, lambda one: one.sent + one.sent_beside)):.4f}",
            f"{results.most(way, lambda one: one.kept) / 1e6:.0f}",
            f"{results.most(way, lambda one: one.growth_over_partition) / 1e6:.0f}",
        )
    for name, arms, share in results.whole_arms():
        table.add_row(name, "1", "", "", f"{share:.4f}", f"{arms.kept / 1e6:.0f}", "")
    return table


def measurements_of(results: Results) -> list[Measurement]:
    """All figures, and the goals."""
    name = results.base.name
    figures = [
        measurement
        for way in results.loadings
        for measurement in (
            figure(f"{name}: {way}: time", results.seconds(way), "s"),
            figure(f"{name}: {way}: rate", results.megabytes_per_second(way), "MB/s"),
            figure(f"{name}: {way}: sent by S3 over the base", results.share(results.most(way, lambda one: one.sent))),
        )
    ]
    stock = results.most("stock", lambda one: one.growth_over_partition) / 1e6
    return [
        *figures,
        figure(f"{name}: stock: memory over a rank's partition", stock, "MB"),
        figure(f"{name}: index, over the base", results.share(results.index)),
        figure(
            f"{name}: read by an arm besides, when it publishes, over the base",
            results.share(results.published),
        ),
        *_goals(results),
    ]


def _goals(results: Results) -> list[Measurement]:
    name, arm = results.base.name, results.arm
    growth = results.most("ours", lambda one: one.growth_over_partition) / 1e6
    kept = max(results.most("ours", lambda one: one.kept), arm.kept)
    return [
        at_most(f"{name}: base and index sent by S3 for a whole arm, over the base", results.arm_share, ONCE_LIMIT),
        at_most(
            f"{name}: the same for both arms on one node with its cache, over the base", results.both_share, ONCE_LIMIT
        ),
        at_most(f"{name}: time over stock", results.seconds("ours") / results.seconds("stock"), STOCK_LIMIT),
        at_least(
            f"{name}: rate over that of raw ranged GETs", results.seconds("raw") / results.seconds("ours"), RAW_LIMIT
        ),
        at_most(f"{name}: memory over a rank's partition", growth, MEMORY_LIMIT_MEGABYTES, "MB"),
        exactly(f"{name}: weights on local disk", kept, 0, "bytes"),
    ]
