"""Sweeps over a small base in files, by the engine itself: any number of workers, any size of chunks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from tests.merged_matrices import options_of, random_factors
from tests.merges import folder_bytes, folder_uri

from paft_api.spec.merge import MergeOptions
from paft_trainer.adapters import Adapter, Factors
from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.base_hashes import BaseHashes
from paft_trainer.merge.checkpoint import CheckpointWriter, Fusion
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.inputs import MergeInputs, open_base
from paft_trainer.merge.interference import TensorFigures
from paft_trainer.merge.methods import method_of
from paft_trainer.merge.output import OutputFolder
from paft_trainer.merge.rows import CHUNK_ELEMENTS, Rows
from paft_trainer.merge.shards import plan_shards
from paft_trainer.merge.tensor_arms import arms_of_tensors
from paft_trainer.storage import ObjectStore
from paft_trainer.storage.file_store import FileStore

SHARD_BYTES = 3_000
RECIPE = "sha256:" + "1" * 64

SWEEP: dict[str, MergeOptions] = {
    "linear": options_of("linear", weights=[{"sft": 0.5, "preference": 1.0}]),
    "by-layer": options_of(
        "task_arithmetic", weights=[{"sft": 1.0}, {"gradient": [{"sft": 0.0, "preference": 1.0}, {"sft": 1.0}]}]
    ),
    "ties": options_of("ties", density=0.3),
    "ties-model": options_of("ties", density=0.3, densityScope="Model"),
    "ties-balanced": options_of("ties", density=0.6, densityScope="Model", balance="Tensor"),
    "dare-linear": options_of("dare_linear", density=0.4, rescale="Norm"),
    "dare-ties": options_of("dare_ties", density=0.4, seed=3),
    "della": options_of("della", density=0.5, epsilon=0.2),
    "della-norm": options_of("della", density=0.5, rescale="Norm"),
    "breadcrumbs": options_of("breadcrumbs", density=0.5, gamma=0.1, densityScope="Model", balance="Model"),
    "slerp": options_of("slerp"),
    "slerp-whole": options_of("slerp", wholeWeights=True),
    "sce": options_of("sce", density=0.3),
    "model-stock": options_of("model_stock"),
    "sft": options_of("sft_only"),
    "preference": options_of("preference_only"),
}
"""Every method, and the options that look at tensors or at the model first."""


@dataclass(frozen=True, kw_only=True, repr=False)
class SmallModel:
    """A base in files with factors for some of its modules."""

    folder: Path
    sft: Mapping[str, Factors]
    preference: Mapping[str, Factors]

    def inputs(self, store: ObjectStore) -> MergeInputs:
        """What a merge of it reads."""
        adapters = {
            name: Adapter(uri=f"file:///{name}/", digest=RECIPE, modules=dict(modules), manifest=None)
            for name, modules in (("sft", self.sft), ("preference", self.preference))
        }
        base = open_base(store, folder_uri(self.folder))
        return MergeInputs(base=base, base_digest=None, listing_digest="", adapters=adapters)


def small_model(folder: Path, dtype: torch.dtype) -> SmallModel:
    """Three layers with two adapted modules each and a head; the arms adapt different ones, with different ranks."""
    torch.manual_seed(4)
    tensors = {"model.embed_tokens.weight": torch.randn(19, 17).to(dtype), "model.norm.weight": torch.randn(17)}
    sft, preference = {}, {}
    for layer in range(3):
        for index, (name, rows) in enumerate((("self_attn.q_proj", 24), ("mlp.up_proj", 41))):
            module = f"model.layers.{layer}.{name}"
            tensors[f"{module}.weight"] = torch.randn(rows, 17).to(dtype)
            sft[module] = random_factors(3, rows, 17, seed=10 * layer + index)
            if index == 0 or layer == 1:
                preference[module] = random_factors(9, rows, 17, seed=100 + layer)
    tensors["lm_head.weight"] = torch.randn(19, 17).to(dtype)
    preference["lm_head"] = random_factors(2, 19, 17, seed=7)
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    return SmallModel(folder=folder, sft=sft, preference=preference)


class CountingArithmetic(CpuArithmetic):
    """The CPU's, that remembers how many entries of deltas it has computed."""

    def __init__(self) -> None:
        self.entries = 0

    def delta(self, factors: Factors | None, rows: Rows) -> Delta:
        """As the CPU's."""
        self.entries += rows.height * rows.columns
        return super().delta(factors, rows)


def merge_checkpoint(
    model: SmallModel,
    folder: Path,
    sweep: Mapping[str, MergeOptions],
    *,
    store: ObjectStore | None = None,
    arithmetic: Arithmetic | None = None,
    workers: int = 2,
    chunk_elements: int = CHUNK_ELEMENTS,
    hashes: BaseHashes | None = None,
    progress: Callable[..., None] = lambda size, *, ends_tensor: None,
) -> dict[str, dict[str, TensorFigures]]:
    """Write the shards of all merges below `folder`, going on where an earlier call ended; figures by merge."""
    store = store or FileStore()
    inputs = model.inputs(store)
    fusions = {
        name: _fusion(store, folder_uri(folder) + f"{name}/", options, inputs) for name, options in sweep.items()
    }
    writer = CheckpointWriter(
        store=store,
        arithmetic=arithmetic or CpuArithmetic(),
        merged=inputs.merged_names,
        progress=progress,
        hashes=hashes,
        workers=workers,
        chunk_elements=chunk_elements,
    )
    writer.write(plan_shards(inputs.base.tensors, max_shard_bytes=SHARD_BYTES), list(fusions.values()))
    return {name: fusion.figures for name, fusion in fusions.items()}


def _fusion(store: ObjectStore, uri: str, options: MergeOptions, inputs: MergeInputs) -> Fusion:
    output = OutputFolder(store, uri)
    output.find_shards(RECIPE)
    return Fusion(method=method_of(options), arms=arms_of_tensors(options, inputs), output=output, recipe_digest=RECIPE)


def all_bytes(folder: Path, names: Sequence[str]) -> dict[str, dict[str, bytes]]:
    """Content of every file, by merge and name."""
    return {name: folder_bytes(folder / name) for name in names}
