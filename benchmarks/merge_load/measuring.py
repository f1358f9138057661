"""Each program in turn, in a place, with the page cache warm."""

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from benchmarks.merge_load.measured_run import Cost, run_measured
from benchmarks.merge_load.ours import Merge, counted_merge_command, merge_command, run_spec
from benchmarks.merge_load.peers import MergekitCache, copy_command, mergekit_command, peft_command
from benchmarks.merge_load.places import Place
from benchmarks.merge_load.results import COPY, ByteCounts, Row
from benchmarks.processes import MeasuringFailed

UNCOUNTED_SHARE = 0.02
"""Of the base's bytes: by how much the stores' counts may miss what the system counts."""


def measure_copy(place: Place, folder: Path, runs: int) -> Row:
    """The floor."""

    def command(output: str, attempt: Path) -> list[str]:
        return copy_command(f"{place.models}base/", output, place.endpoint)

    return Row(program=COPY, place=place.name, costs=_repeat(COPY, command, place, folder, runs))


def measure_merge(merge: Merge, place: Place, folder: Path, runs: int, start: Cost | None = None) -> Row:
    """Ours. `start`: what the same merge of next to nothing costs."""

    def command(output: str, attempt: Path) -> list[str]:
        return merge_command(_write_run_spec(merge, place, output, attempt))

    return Row(
        program=merge.name, place=place.name, costs=_repeat(merge.name, command, place, folder, runs), start=start
    )


def measure_uncompiled(merge: Merge, place: Place, folder: Path, start: Cost) -> Row:
    """Ours where no kernel was compiled before, as in a pod without a cache; once."""
    environment = {**place.environment, "NUMBA_CACHE_DIR": str(folder / f"kernels-{uuid.uuid4().hex}")}
    row = measure_merge(merge, replace(place, environment=environment), folder, 1, start)
    return replace(row, program=f"{merge.name}, nothing compiled yet")


def count_bytes(merge: Merge, place: Place, folder: Path, start: Cost) -> ByteCounts:
    """Bytes of one merge by object, of a base that nobody has read yet.

    Raises MeasuringFailed where files were read or written past the store.
    """
    attempt = _new_attempt(folder)
    place = replace(place, artifacts=f"{place.artifacts}{attempt.name}/")
    counts_file = attempt / "counts.json"
    print(f"{place.name}: {merge.name}, bytes counted", flush=True)
    place.warm()
    with place.new_output() as output:
        command = counted_merge_command(_write_run_spec(merge, place, output, attempt), counts_file)
        cost = run_measured(command, attempt / "log.txt", place.environment)
    counts = json.loads(counts_file.read_text())
    base = f"{place.models}base/"
    read = {uri: size for uri, size in counts["read"].items() if uri.startswith(base) and _is_weights(uri)}
    written = {uri: size for uri, size in counts["written"].items() if uri.startswith(output) and _is_weights(uri)}
    if place.endpoint is None:
        base_size = sum(Path(unquote(uri.removeprefix("file://"))).stat().st_size for uri in read)
        _require_all_counted(cost.read - start.read, sum(counts["read"].values()), base_size, "read")
        _require_all_counted(cost.written - start.written, sum(counts["written"].values()), base_size, "written")
    return ByteCounts(base_read=sum(read.values()), output_written=sum(written.values()))


def measure_mergekit(program: str, models: Path, method: str, cache: MergekitCache, place: Place, folder: Path) -> Row:
    """mergekit, once. Adapters that the cache has not yet are made whole models first."""

    def command(output: str, attempt: Path) -> list[str]:
        return mergekit_command(models, method, cache, _path(output))

    return Row(program=program, place=place.name, costs=_repeat(program, command, place, folder, 1))


def measure_peft(program: str, models: Path, combination_type: str, place: Place, folder: Path) -> Row:
    """PEFT, once."""

    def command(output: str, attempt: Path) -> list[str]:
        return peft_command(models, combination_type, _path(output))

    return Row(program=program, place=place.name, costs=_repeat(program, command, place, folder, 1))


def _repeat(
    program: str, command: Callable[[str, Path], Sequence[str]], place: Place, folder: Path, runs: int
) -> tuple[Cost, ...]:
    costs = []
    for run in range(runs):
        attempt = _new_attempt(folder)
        print(f"{place.name}: {program}, {run + 1} of {runs}", end="", flush=True)
        place.warm()
        with place.new_output() as output:
            cost = run_measured(command(output, attempt), attempt / "log.txt", place.environment)
        print(f": {cost.wall_seconds:.2f} s, CPU {cost.cpu_seconds:.2f} s, {cost.peak_bytes / 1e6:.0f} MB", flush=True)
        costs.append(cost)
    return tuple(costs)


def _new_attempt(folder: Path) -> Path:
    attempt = folder / f"attempt-{uuid.uuid4().hex}"
    attempt.mkdir()
    return attempt


def _write_run_spec(merge: Merge, place: Place, output: str, attempt: Path) -> Path:
    file = attempt / "run_spec.json"
    file.write_text(
        run_spec(merge, place.models, output, place.artifacts, attempt=attempt, endpoint=place.endpoint),
        encoding="utf-8",
    )
    return file


def _require_all_counted(by_system: int, by_stores: int, base_size: int, what: str) -> None:
    if abs(by_system - by_stores) > UNCOUNTED_SHARE * base_size:
        raise MeasuringFailed(
            f"the stores counted {by_stores} bytes {what}, the system {by_system} more than in a merge of next to "
            "nothing; count the store's methods that are missing in benchmarks/merge_load/counted_merge.py"
        )


def _is_weights(uri: str) -> bool:
    return uri.endswith(".safetensors")


def _path(uri: str) -> Path:
    return Path(unquote(uri.removeprefix("file://"))).absolute()
