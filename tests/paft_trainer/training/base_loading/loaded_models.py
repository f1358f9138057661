"""Loads models on real ranks, ours and as transformers does, and compares them bit for bit; one launch, many cases."""

import contextlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.paft_trainer.training.base_loading.local_pieces import local_pieces
from tests.ranks import run_on_ranks


@dataclass(frozen=True, kw_only=True)
class LoadCase:
    """One loading. `dtype`: of the model. `persistence_threshold`: elements up to which DeepSpeed keeps a parameter
    whole."""

    folder: str
    dtype: str = "float32"
    persistence_threshold: int = 200


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What one rank saw. `differences`: places where the two models are not equal, of `compared` ones. `log`: what was
    printed. `bytes_read`: by this rank. `adapter`: a digest of PEFT's fresh adapter. `failure`: cause and message."""

    compared: int = 0
    differences: tuple[str, ...] = ()
    log: str = ""
    bytes_read: int = 0
    adapter: str = ""
    failure: tuple[str, str] | None = None


def load_on_ranks(
    cases: Sequence[LoadCase], *, ranks: int, directory: Path, partitioned: bool = True
) -> list[list[Loaded]]:
    """For each case what each rank saw. `partitioned`: with ZeRO-3, also on one rank."""
    directory.mkdir()
    payload = [asdict(case) for case in cases]
    run_on_ranks(_load_all, payload, ranks=ranks, directory=directory, launched=partitioned)
    answers = [json.loads((directory / f"rank-{rank}.json").read_text()) for rank in range(ranks)]
    return [
        [Loaded(**{**entry, "differences": tuple(entry["differences"])}) for entry in case]
        for case in zip(*answers, strict=True)
    ]


def _load_all(payload: list[dict[str, Any]], directory: Path) -> None:
    import deepspeed
    import torch

    if "RANK" in os.environ:
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed("gloo")
    torch.set_num_threads(1)
    answers = [asdict(_load(LoadCase(**case))) for case in payload]
    (directory / f"rank-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(answers))


def _load(case: LoadCase) -> Loaded:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.integrations.deepspeed import HfDeepSpeedConfig, unset_hf_deepspeed_config

    from paft_trainer.errors import StageError
    from paft_trainer.training.base_loading.load import load_model

    dtype, folder = getattr(torch, case.dtype), Path(case.folder)
    source = local_pieces(folder)
    # transformers forgets it as soon as nobody holds it.
    configuration = HfDeepSpeedConfig(_configuration(case)) if "RANK" in os.environ else None
    log = io.StringIO()
    try:
        with contextlib.redirect_stdout(log):
            ours = load_model(
                folder,
                source,
                base_uri="s3://base/",
                dtype=dtype,
                device=torch.device("cpu"),
                whole_copy=lambda: folder,
            )
    except StageError as error:
        return Loaded(failure=(error.cause, error.message), log=log.getvalue(), bytes_read=source.bytes_read)
    stock = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    compared, differences = _compare(ours, stock)
    adapter = _fresh_adapter(ours)
    del configuration
    unset_hf_deepspeed_config()
    return Loaded(
        compared=compared,
        differences=tuple(differences),
        log=log.getvalue(),
        bytes_read=source.bytes_read,
        adapter=adapter,
    )


def _configuration(case: LoadCase) -> dict[str, Any]:
    return {
        "train_micro_batch_size_per_gpu": 1,
        "bf16": {"enabled": case.dtype == "bfloat16"},
        "fp16": {"enabled": case.dtype == "float16"},
        "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": case.persistence_threshold},
    }


def _compare(ours: Any, stock: Any) -> tuple[int, list[str]]:
    import torch

    views = [_views(model) for model in (ours, stock)]
    differences = [*(views[0].keys() ^ views[1].keys())]
    for name in views[0].keys() & views[1].keys():
        (facts, values), (expected_facts, expected) = views[0][name], views[1][name]
        if facts != expected_facts or not torch.equal(values.view(torch.uint8), expected.view(torch.uint8)):
            differences.append(name)
    for what in ("training", "generation_config", "all_tied_weights_keys", "dtype", "device"):
        if str(getattr(ours, what)) != str(getattr(stock, what)):
            differences.append(what)
    return len(views[0]), differences


def _views(model: Any) -> dict[str, tuple[list[Any], Any]]:
    """By name: what else has to be equal, and the values that this rank holds."""
    views: dict[str, tuple[list[Any], Any]] = {}
    first: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        facts = [first.setdefault(id(parameter), name), parameter.dtype, parameter.shape, parameter.requires_grad]
        facts.append(sorted(vars(parameter)))
        values = parameter.detach()
        if "ds_tensor" in vars(parameter):
            values = parameter.ds_tensor
            facts += [parameter.ds_shape, parameter.ds_numel, parameter.ds_persist, parameter.ds_status, values.shape]
            facts += [sorted(vars(values)), values.ds_numel, values.status, values.final_location, values.requires_grad]
            facts += [parameter.ds_numel_aligned, parameter.ds_zero_partition_rank]
            # What is behind the last element is padding, which transformers leaves as it was in memory.
            values = values[: max(parameter.ds_numel - values.numel() * parameter.ds_zero_partition_rank, 0)]
        views[name] = (facts, values.reshape(-1))
    for name, buffer in model.named_buffers():
        views[name] = ([buffer.dtype, buffer.shape], buffer.reshape(-1))
    return views


def _fresh_adapter(model: Any) -> str:
    import hashlib

    from peft import get_peft_model
    from transformers import set_seed

    from paft_api.spec.lora import LoraSpec
    from paft_trainer.training.adapter_state import adapter_parameters
    from paft_trainer.training.base_model import lora_configuration

    # In this order, as TRL's trainers do.
    set_seed(3)
    adapted = get_peft_model(model, lora_configuration(LoraSpec(r=4)))
    digest = hashlib.sha256()
    for name, parameter in adapter_parameters(adapted):
        digest.update(name.encode())
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()
