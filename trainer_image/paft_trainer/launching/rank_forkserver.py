"""The process that ranks are forked from: it imports all that they need once, while the launcher does other work.

Nothing here imports torch, so that it can begin before the launcher does.
"""

import multiprocessing
import os
from multiprocessing import forkserver

from paft_api.run_spec import RunSpec, World

RANK_MODULE = "paft_trainer.training.preloaded_rank"
_PRELOADED = ["paft_trainer.launching.forkserver_process", RANK_MODULE]


def start_importing(run_spec: RunSpec) -> None:
    """Start the forkserver of an arm's ranks; it goes on importing after this has returned."""
    run = run_spec.sft if run_spec.sft is not None else run_spec.preference
    assert run is not None
    _set_environment(run.world)
    multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOADED)
    forkserver.ensure_running()


def _set_environment(world: World) -> None:
    """Before the forkserver starts, for what libraries read once when they are imported."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_OFFLINE"] = "1"
    if world.device == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        if world.nodes == 1:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    elif world.visible_devices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(str(device) for device in world.visible_devices)
    if world.threads_per_process is not None:
        os.environ["OMP_NUM_THREADS"] = str(world.threads_per_process)
