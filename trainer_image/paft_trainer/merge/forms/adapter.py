"""output.form Adapter: a LoRA adapter for the base in PEFT's format.

Where the merged delta is f₁τ₁ + f₂τ₂ the factors of both arms are put side by side: A = [A₁; A₂], B = [f₁s₁B₁, f₂s₂B₂].
Other deltas, and ranks below the sum, get the closest factors of that rank. The base's weights are not read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from paft_api.report import Activity
from paft_trainer.adapter_weights import SavedTensor
from paft_trainer.adapters import WEIGHTS_FILE, Factors
from paft_trainer.available_processors import available_processors
from paft_trainer.merge.adapter_files import encode_configuration, factor_names
from paft_trainer.merge.combinations import combination
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.delta_pass import DeltaPasses
from paft_trainer.merge.interference import TensorFigures, interference_report
from paft_trainer.merge.low_rank import closest_factors, squared_residual
from paft_trainer.merge.merge_task import MergeTask, PlannedMerge
from paft_trainer.merge.method import Method, TensorArms
from paft_trainer.merge.methods import method_of
from paft_trainer.merge.model_answers import survey_model
from paft_trainer.merge.pipeline import Pipeline
from paft_trainer.merge.progress import MergeProgress
from paft_trainer.merge.rows import CHUNK_ELEMENTS
from paft_trainer.merge.saved_tensors import acting_arms
from paft_trainer.merge.shards import SourceTensor
from paft_trainer.merge.tensor_arms import arms_of_tensors
from paft_trainer.publishing import write_hashed
from paft_trainer.safetensors_files import DTYPE_BYTES, encode_header, read_chunks

COPY_BYTES = 4 * 1024 * 1024
AHEAD = 8
"""Parts of a delta whose results may wait: each may be columns × (rank + oversampling) numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Module:
    """One adapted module. `combination`: f₁ and f₂ where its factors are put side by side; None where they are found by
    decomposing the merged delta."""

    tensor: SourceTensor
    arms: TensorArms
    rank: int
    combination: tuple[float, float] | None


@dataclass(kw_only=True)
class _AdapterContent:
    """The bytes of the weights' file, made as they are asked for. `figures`: of the modules that are through."""

    task: MergeTask
    method: Method
    modules: Sequence[_Module]
    saved: Mapping[str, SavedTensor]
    figures: dict[str, TensorFigures] = field(default_factory=dict)

    def chunks(self) -> Iterator[bytes]:
        """Header, factors module by module, whole tensors; the widest elements first, as readers map the file."""
        wide = {name: one for name, one in self.saved.items() if DTYPE_BYTES[one.entry.dtype] > 4}
        narrow = {name: one for name, one in self.saved.items() if name not in wide}
        narrow = dict(sorted(narrow.items(), key=lambda item: -DTYPE_BYTES[item[1].entry.dtype]))
        described = [(one.entry.name, one.entry.dtype, one.entry.shape) for one in wide.values()]
        for module in self.modules:
            name_a, name_b = factor_names(module.arms.name)
            rows = module.arms.rows
            described += [(name_a, "F32", (module.rank, rows.columns)), (name_b, "F32", (rows.height, module.rank))]
        described += [(one.entry.name, one.entry.dtype, one.entry.shape) for one in narrow.values()]
        yield encode_header(described, metadata={"format": "pt"})
        for one in wide.values():
            yield from self._copied(one)
        yield from self._factors()
        for one in narrow.values():
            yield from self._copied(one)

    def _factors(self) -> Iterator[bytes]:
        progress = MergeProgress(self.task.reporter, [module.tensor for module in self.modules])
        arithmetic = CpuArithmetic()
        with ExitStack() as open_until_the_end:
            workers = available_processors()
            pipeline = open_until_the_end.enter_context(Pipeline(workers=workers, ahead=AHEAD))
            arms = {module.tensor: module.arms for module in self.modules}
            known = survey_model(
                pipeline,
                [module.tensor for module in self.modules],
                [(self.method, arms.__getitem__)],
                arithmetic,
                chunk_elements=CHUNK_ELEMENTS,
            )
            for module in self.modules:
                answers = known(self.method, module.arms)
                passes = DeltaPasses(pipeline, self.method, module.arms, answers, module.tensor, arithmetic)
                factors, figures = _solve(module, passes)
                self.figures[module.arms.name] = figures
                for matrix in (factors.a, factors.b):
                    yield matrix.tobytes()
                progress.advance(module.tensor.entry.size, ends_tensor=True)

    def _copied(self, saved: SavedTensor) -> Iterator[bytes]:
        entry = saved.entry
        return read_chunks(self.task.store, saved.uri, entry.start, entry.size, chunk_bytes=COPY_BYTES)


def write_adapter(task: MergeTask, planned: Sequence[PlannedMerge]) -> None:
    """Write the adapter; `adapter_config.json` after the weights."""
    (one,) = planned
    method = method_of(one.options)
    modules = _modules(task, one, method)
    saved = {
        name: adapter.saved[name]
        for adapter in (task.inputs.adapters[arm] for arm in acting_arms(one.options.method))
        for name in sorted(adapter.saved)
    }
    figures = _write_weights(task, one, method, modules, saved)
    task.reporter.update(activity=Activity.PUBLISHING)
    report = interference_report(one.options, [figures[name] for name in sorted(figures)], replaced=one.replaced)
    one.take_warnings(report)
    one.output.write_interference(report)
    one.output.write_card(one.recipe)
    one.output.write_chat_template(task.run_spec.base)
    configuration = encode_configuration(
        base_uri=task.run_spec.base.uri,
        ranks={module.arms.name.removesuffix(".weight"): module.rank for module in modules},
        weights_of_base=[tensor.entry.name for tensor in task.inputs.base.tensors],
        saved=saved,
        ties_weights=any(task.inputs.adapters[arm].ties_weights for arm in acting_arms(one.options.method)),
    )
    one.output.write("adapter_config.json", [configuration])
    one.finish(claimed_digest=one.recipe["recipeDigest"], merged_tensors=len(modules), copied_tensors=0)


def _write_weights(
    task: MergeTask,
    planned: PlannedMerge,
    method: Method,
    modules: Sequence[_Module],
    saved: Mapping[str, SavedTensor],
) -> dict[str, TensorFigures]:
    """Unless an interrupted run has written them."""
    output, digest = planned.output, planned.recipe["recipeDigest"]
    output.find_shards(digest)
    if output.has_shard(WEIGHTS_FILE):
        return output.figures_of(WEIGHTS_FILE)
    content = _AdapterContent(task=task, method=method, modules=modules, saved=saved)
    size, sha256 = write_hashed(task.store, output.uri + WEIGHTS_FILE, content.chunks())
    output.record_shard(digest, WEIGHTS_FILE, content.figures, {}, size, sha256)
    return content.figures


def _modules(task: MergeTask, planned: PlannedMerge, method: Method) -> list[_Module]:
    arms_of = arms_of_tensors(planned.options, task.inputs)
    tensors = [one for one in task.inputs.base.tensors if one.entry.name in task.inputs.merged_names]
    tensors.sort(key=lambda tensor: tensor.entry.name)
    wanted = task.merge.spec.output.rank
    modules = []
    for tensor in tensors:
        arms = arms_of(tensor)
        factors = combination(method, arms)
        exact = _rank(arms, factors or (1.0, 1.0))
        if factors is None or (wanted is not None and wanted < exact):
            factors = None
            rank = min(wanted or exact, arms.rows.height, arms.rows.columns)
        else:
            rank = exact
        modules.append(_Module(tensor=tensor, arms=arms, rank=max(rank, 1), combination=factors))
    return modules


def _rank(arms: TensorArms, combined: tuple[float, float]) -> int:
    """Sum of the ranks of the arms that have a part in it."""
    pairs = zip(arms.factors, combined, strict=True)
    return sum(factors.a.shape[0] for factors, factor in pairs if factors is not None and factor != 0)


def _solve(module: _Module, passes: DeltaPasses) -> tuple[Factors, TensorFigures]:
    figures = passes.figures()
    if module.combination is not None:
        return _side_by_side(module, module.combination), figures
    factors = closest_factors(passes, module.rank)
    return factors, figures.with_residual(squared_residual(passes, factors))


def _side_by_side(module: _Module, combined: tuple[float, float]) -> Factors:
    """B is rounded to fp32 once, after f·s."""
    parts = [
        (factors.a, (factors.b.astype(np.float64) * (factor * factors.scale)).astype(np.float32))
        for factors, factor in zip(module.arms.factors, combined, strict=True)
        if factors is not None and factor != 0
    ]
    rows = module.arms.rows
    if not parts:
        parts = [(np.zeros((1, rows.columns), np.float32), np.zeros((rows.height, 1), np.float32))]
    return Factors(a=np.concatenate([a for a, _ in parts]), b=np.concatenate([b for _, b in parts], axis=1), scale=1.0)
