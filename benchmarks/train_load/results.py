"""Tables and goals of a run of the training benchmark."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.measurements import Measurement, at_most, figure
from benchmarks.train_load.measuring import Start
from benchmarks.train_load.programs import Program
from benchmarks.train_load.timeline import Timeline
from rich.table import Table

from paft_api.spec.training import TrainingSpec
from paft_api.stages import StageName

Case = tuple[Program, StageName, int]
"""Program, arm, ranks."""

BARE_LIMIT, TRL_LIMIT, ONLINE_LIMIT, PADDING_LIMIT, IMPORTS_LIMIT = 1.05, 1.0, 0.75, 0.02, 6.0
STALL_LIMIT = 0.02
SAVE_STEPS = TrainingSpec.model_fields["save_steps"].default
"""The default interval between checkpoints, in optimizer steps."""


@dataclass(kw_only=True)
class Results:
    """`timelines`: of every round. `start`: through the launcher on two ranks."""

    timelines: dict[Case, list[Timeline]] = field(default_factory=dict)
    start: Start | None = None

    def seconds(self, program: Program, stage: StageName, ranks: int) -> float:
        """Of a step: the best round's median, for what else the machine does only makes it longer."""
        return min(one.seconds_per_step for one in self.timelines[program, stage, ranks])

    def padding(self, program: Program, stage: StageName, ranks: int) -> float:
        """Share of padding."""
        return self.timelines[program, stage, ranks][0].padding

    def stall(self, stage: StageName, ranks: int) -> float:
        """Share of training time for which checkpoints at the default interval make the product stand still."""
        timelines = self.timelines[Program.OURS, stage, ranks]
        seconds = min(one.save_stall for one in timelines if one.save_stall is not None)
        return seconds / (SAVE_STEPS * self.seconds(Program.OURS, stage, ranks))


def step_table(results: Results, title: str) -> Table:
    """A line for each program."""
    table = Table(title=title)
    for column in ("arm", "ranks", "program", "s per step", "padding"):
        table.add_column(column)
    for (program, stage, ranks), _ in sorted(results.timelines.items(), key=lambda item: item[0][1:]):
        seconds, padding = results.seconds(program, stage, ranks), results.padding(program, stage, ranks)
        table.add_row(stage, str(ranks), program, f"{seconds:.3f}", f"{padding:.1%}")
    return table


def start_table(start: Start) -> Table:
    """From the start of a launcher to the first step."""
    table = Table(title="From start to first step, SFT through the launcher, two ranks")
    for column in ("cause", "seconds"):
        table.add_column(column)
    for name, seconds in start_parts(start).items():
        table.add_row(name, f"{seconds:.1f}")
    return table


def start_parts(start: Start) -> Mapping[str, float]:
    """Seconds by cause."""
    return {
        "imports": start.imports,
        "load of model, data and engine": start.load,
        "the first step itself": start.first_step,
    }


def figures(results: Results) -> list[Measurement]:
    """Everything measured, without goals."""
    found = [
        figure(f"{stage}, {ranks} ranks, {program}: step", results.seconds(program, stage, ranks), "s")
        for program, stage, ranks in results.timelines
    ]
    if results.start is not None:
        found += [figure(f"start: {name}", seconds, "s") for name, seconds in start_parts(results.start).items()]
    return found


def goals(results: Results) -> list[Measurement]:
    """What was promised of step times, padding, checkpoints and the start."""
    arms = sorted({(stage, ranks) for _, stage, ranks in results.timelines})
    found = list(_ratio_goals(results, arms))
    found += [
        at_most(f"{stage}, {ranks} ranks: padding", results.padding(Program.OURS, stage, ranks), PADDING_LIMIT)
        for stage, ranks in arms
    ]
    found += [
        at_most(f"{stage}, {ranks} ranks: checkpoint stall", results.stall(stage, ranks), STALL_LIMIT)
        for stage, ranks in arms
    ]
    if results.start is not None:
        found.append(at_most("start: imports", results.start.imports, IMPORTS_LIMIT, "s"))
    return found


def _ratio_goals(results: Results, arms: Iterable[tuple[StageName, int]]) -> Iterable[Measurement]:
    for stage, ranks in arms:
        for peer, limit in ((Program.BARE, BARE_LIMIT), (Program.TRL, TRL_LIMIT), (Program.ONLINE, ONLINE_LIMIT)):
            if (peer, stage, ranks) in results.timelines:
                ratio = results.seconds(Program.OURS, stage, ranks) / results.seconds(peer, stage, ranks)
                yield at_most(f"{stage}, {ranks} ranks: step / {peer}", ratio, limit)
