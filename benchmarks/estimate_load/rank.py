"""One rank of an arm, and how far its memory grew: the peak of the resident set while the product trains, less what was
resident when all was imported and the process group was there."""

import ctypes
import json
import os
from pathlib import Path
from typing import TypedDict

_RESET_PEAK = "5"
"""Written to clear_refs, see proc_pid_clear_refs(5)."""
_M_TOP_PAD, _M_MMAP_THRESHOLD = -2, -3
_MAPPED_BYTES = 128 * 1024


class Asked(TypedDict):
    """`gives_back`: the C library gives each larger buffer back to the kernel when it is freed, so that only what
    exists at once counts; else it keeps what it likes, as in a process of the product. `result`: a file, {} for the
    rank."""

    run_spec: str
    gives_back: bool
    result: str


class Grown(TypedDict):
    """Bytes."""

    imports: int
    growth: int


def measure(asked: Asked, _: Path) -> None:
    """Train to the end, in a process that has everything imported (`tests.ranks.run_on_ranks`)."""
    import torch.distributed as dist

    from paft_api.run_spec import RunSpec
    from paft_trainer.launching.arm_launcher import prepare_base
    from paft_trainer.peak_memory import peak_memory_bytes
    from paft_trainer.reporting import Reporter
    from paft_trainer.storage import open_store
    from paft_trainer.training.rank import arm_run, join_world, train_in_world
    from paft_trainer.training.stop_signal import StopSignal

    if asked["gives_back"]:
        _give_freed_buffers_back()
    run_spec = RunSpec.model_validate_json(asked["run_spec"])
    partitioned = join_world(arm_run(run_spec))
    if dist.get_rank() == 0:
        prepare_base(run_spec, open_store(run_spec.storage))
    dist.barrier()
    before = _resident_bytes()
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    folder = Path(run_spec.scratch_directory) / "base"
    train_in_world(run_spec, folder, Reporter(run_spec.identity, None), StopSignal(), partitioned=partitioned)
    grown = Grown(imports=before, growth=peak_memory_bytes() - before)
    Path(asked["result"].format(dist.get_rank())).write_text(json.dumps(grown), encoding="utf-8")
    dist.barrier()


def _give_freed_buffers_back() -> None:
    """mallopt(3)."""
    library = ctypes.CDLL(None)
    library.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
    library.mallopt(_M_TOP_PAD, 0)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")
