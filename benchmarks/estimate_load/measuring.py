"""Runs arms in fresh processes, and puts what their memory grew by beside the estimate."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.estimate_load.rank import Asked, Grown, measure
from benchmarks.estimate_load.settings import Configuration
from tests.ranks import run_on_ranks

from paft_api.run_spec import RunSpec
from paft_cli.base_reading import read_base_shape
from paft_cli.estimates.arm_setting import arm_setting
from paft_cli.estimates.memory import IMPORTED_BYTES, ArmMemory, arm_memory
from paft_trainer.storage import open_store


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Bytes of the rank that grew most, and what was estimated. `measured`: with freed buffers given back, so that what
    exists at once counts. `as_it_runs`: with those that the C library keeps. `imports`: before."""

    configuration: Configuration
    estimated: ArmMemory
    measured: int
    as_it_runs: int
    imports: int

    @property
    def estimated_as_it_runs(self) -> int:
        """Beyond the imports."""
        return self.estimated.peak - IMPORTED_BYTES["cpu"]

    @property
    def estimated_at_once(self) -> int:
        """The same, without what the C library keeps."""
        return self.estimated_as_it_runs - self.estimated.allocator

    @property
    def error(self) -> float:
        """By which share of what was measured the estimate is above it."""
        return self.estimated_at_once / self.measured - 1

    @property
    def error_as_it_runs(self) -> float:
        """The same of a process as it runs."""
        return self.estimated_as_it_runs / self.as_it_runs - 1


def compare(configuration: Configuration, bases: Path, folder: Path) -> Compared:
    """Measure one arm in both ways."""
    measured = {}
    for gives_back in (True, False):
        place = folder / ("given-back" if gives_back else "as-it-runs")
        place.mkdir(parents=True)
        run_spec = configuration.run_spec(bases, place)
        measured[gives_back] = _measure(run_spec, place, ranks=configuration.ranks, gives_back=gives_back)
    return Compared(
        configuration=configuration,
        estimated=estimate(run_spec, configuration),
        measured=measured[True]["growth"],
        as_it_runs=measured[False]["growth"],
        imports=measured[True]["imports"],
    )


def estimate(run_spec: RunSpec, configuration: Configuration) -> ArmMemory:
    """Of the very run."""
    run = run_spec.sft or run_spec.preference
    assert run is not None
    shape = read_base_shape(open_store(run_spec.storage), run_spec.base)
    setting = arm_setting(shape, run.spec, field=f"spec.{configuration.stage}")
    return arm_memory(setting, longest=configuration.max_length)


def _measure(run_spec: RunSpec, folder: Path, *, ranks: int, gives_back: bool) -> Grown:
    """Of the rank that grew most."""
    asked = Asked(run_spec=run_spec.to_json(), gives_back=gives_back, result=str(folder / "rank-{}.json"))
    run_on_ranks(measure, asked, ranks=ranks, directory=folder)
    grown = [json.loads((folder / f"rank-{rank}.json").read_text(encoding="utf-8")) for rank in range(ranks)]
    return max(grown, key=lambda one: int(one["growth"]))
