"""Fused checkpoints: every tensor of the base is read once, and written once for each merge."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from paft_trainer.available_processors import available_processors
from paft_trainer.base.store_pieces import StorePieces
from paft_trainer.merge.arithmetic import DTYPES, Arithmetic
from paft_trainer.merge.base_hashes import BaseHashes
from paft_trainer.merge.interference import TensorFigures
from paft_trainer.merge.method import Method
from paft_trainer.merge.model_answers import AnswersAboutModel, TensorArmsOf, survey_model
from paft_trainer.merge.output import OutputFolder
from paft_trainer.merge.pipeline import Pipeline
from paft_trainer.merge.rows import CHUNK_ELEMENTS, Rows
from paft_trainer.merge.saved_tensors import Replacement
from paft_trainer.merge.shards import Shard, SourceTensor
from paft_trainer.merge.tensor_work import MergedRows, TensorWork
from paft_trainer.merge.write_behind import WriteBehind
from paft_trainer.safetensors_files import encode_header
from paft_trainer.storage import ObjectStore

COPY_BYTES = 4 * 1024 * 1024
CHUNKS_IN_FLIGHT = 32
"""Chunks of base and outputs together that are held at once, at most."""


class Progress(Protocol):
    """Told of bytes of the base that are done."""

    def __call__(self, size: int, *, ends_tensor: bool) -> None:
        """So many more; `ends_tensor`: the last ones of a tensor."""


@dataclass(kw_only=True, eq=False)
class Fusion:
    """One merge and where it goes. `arms`: how it wants a tensor's deltas. `replaced`: tensors that it takes from an
    adapter. `figures`: of all tensors it has merged."""

    method: Method
    arms: TensorArmsOf
    output: OutputFolder
    recipe_digest: str
    replaced: Mapping[str, Replacement] = field(default_factory=dict)
    figures: dict[str, TensorFigures] = field(default_factory=dict)


@dataclass(kw_only=True)
class CheckpointWriter:
    """Writes the shards of all fusions. `merged`: names of the tensors that get a delta. `hashes`: takes the base's
    tensors on their way, where nobody knows the base's digest. `pieces`: gives its bytes verified, where somebody has
    read them before. `chunk_elements`: of a weight, for whole rows. The bytes written depend neither on that nor on
    `workers`."""

    store: ObjectStore
    arithmetic: Arithmetic
    merged: frozenset[str]
    progress: Progress
    hashes: BaseHashes | None = None
    pieces: StorePieces | None = None
    workers: int = field(default_factory=available_processors)
    chunk_elements: int = CHUNK_ELEMENTS

    def write(self, shards: Sequence[Shard], fusions: Sequence[Fusion]) -> None:
        """Write what is not there yet. Raises StageError."""
        missing = {shard.name: [one for one in fusions if not one.output.has_shard(shard.name)] for shard in shards}
        for fusion in fusions:
            for shard in shards:
                fusion.figures |= fusion.output.figures_of(shard.name)
        wanted = [shard for shard in shards if missing[shard.name]]
        if not wanted:
            return
        ahead = max(2 * self.workers, CHUNKS_IN_FLIGHT // (1 + len(fusions)))
        with ExitStack() as open_until_the_end:
            writers = [open_until_the_end.enter_context(WriteBehind(self.store)) for _ in fusions]
            pipeline = open_until_the_end.enter_context(Pipeline(workers=self.workers, ahead=ahead))
            known = survey_model(
                pipeline,
                [tensor for shard in shards for tensor in shard.tensors if self._is_merged(tensor)],
                [(one.method, one.arms) for one in fusions],
                self.arithmetic,
                chunk_elements=self.chunk_elements,
            )
            results = pipeline.in_order(self._submit(pipeline, wanted, missing, known))
            for shard in shards:
                if missing[shard.name]:
                    pairs = [(one, writers[fusions.index(one)]) for one in missing[shard.name]]
                    self._write_shard(shard, pairs, results)

    def _write_shard(
        self, shard: Shard, pairs: Sequence[tuple[Fusion, WriteBehind]], results: Iterator["Part"]
    ) -> None:
        described = [(tensor.entry.name, tensor.entry.dtype, tensor.entry.shape) for tensor in shard.tensors]
        header = encode_header(described, metadata={"format": "pt"})
        found: list[dict[str, TensorFigures]] = [{} for _ in pairs]
        for fusion, writer in pairs:
            writer.begin(fusion.output.uri + shard.name)
            writer.write(header)
        for tensor in shard.tensors:
            for index, figures in enumerate(self._write_tensor(tensor, [writer for _, writer in pairs], results)):
                found[index][tensor.entry.name] = figures
        for (fusion, writer), figures_of_shard in zip(pairs, found, strict=True):
            fusion.figures |= figures_of_shard
            hashes = self._hashes_of(shard)
            writer.end(partial(fusion.output.record_shard, fusion.recipe_digest, shard.name, figures_of_shard, hashes))

    def _write_tensor(
        self, tensor: SourceTensor, writers: Sequence[WriteBehind], results: Iterator["Part"]
    ) -> list[TensorFigures]:
        """Figures by merge; none for a tensor that is copied."""
        parts: list[Part] = []
        left = tensor.entry.size
        for _ in self._cut(tensor):
            part = next(results)
            for index, writer in enumerate(writers):
                writer.write(part.content(index))
            left -= len(part.base)
            if self.hashes is not None:
                self.hashes.update(part.base)
            self.progress(len(part.base), ends_tensor=left == 0)
            parts.append(part.without_bytes())
        if self.hashes is not None:
            self.hashes.end(tensor.entry.name)
        work = parts[0].work if parts else None
        merged = [part.merged for part in parts if part.merged is not None]
        return [] if work is None else [work.figures(index, merged) for index in range(len(writers))]

    def _hashes_of(self, shard: Shard) -> dict[str, str]:
        if self.hashes is None:
            return {}
        self.hashes.wait()
        return {tensor.entry.name: self.hashes.sha256[tensor.entry.name] for tensor in shard.tensors}

    def _cut(self, tensor: SourceTensor) -> list[tuple[int, int]]:
        """(offset, size) in bytes of the parts that a tensor is written in."""
        if self._is_merged(tensor):
            row_bytes = tensor.entry.shape[1] * DTYPES[tensor.entry.dtype]
            return [(rows.start * row_bytes, rows.height * row_bytes) for rows in self._chunks(tensor)]
        size = tensor.entry.size
        return [(start, min(COPY_BYTES, size - start)) for start in range(0, size, COPY_BYTES)]

    def _is_merged(self, tensor: SourceTensor) -> bool:
        return tensor.entry.name in self.merged and tensor.entry.size > 0

    def _chunks(self, tensor: SourceTensor) -> list[Rows]:
        height, columns = tensor.entry.shape
        return list(Rows(start=0, stop=height, columns=columns).cut(self.chunk_elements))

    def _read(self, tensor: SourceTensor, start: int, size: int) -> bytes | memoryview:
        if self.pieces is not None:
            return self.pieces.read_range(tensor.entry.name, start, size)
        return self.store.read_range(tensor.uri, tensor.entry.start + start, size)

    def _submit(
        self,
        pipeline: Pipeline,
        shards: Sequence[Shard],
        missing: Mapping[str, Sequence[Fusion]],
        known: AnswersAboutModel,
    ) -> Iterator["Future[Part]"]:
        for shard in shards:
            for tensor in shard.tensors:
                if self._is_merged(tensor):
                    yield from self._submit_merge(pipeline, tensor, missing[shard.name], known)
                else:
                    for start, size in self._cut(tensor):
                        yield pipeline.read(partial(self._copied, tensor, start, size, missing[shard.name]))

    def _copied(self, tensor: SourceTensor, start: int, size: int, fusions: Sequence[Fusion]) -> "Part":
        base = self._read(tensor, start, size)
        replacements = [fusion.replaced.get(tensor.entry.name) for fusion in fusions]
        if not any(replacements):
            return Part(base=base)
        return Part(
            base=base,
            replaced=tuple(base if one is None else one.read(self.store, start, size) for one in replacements),
        )

    def _submit_merge(
        self,
        pipeline: Pipeline,
        tensor: SourceTensor,
        fusions: Sequence[Fusion],
        known: AnswersAboutModel,
    ) -> Iterator["Future[Part]"]:
        members = [(fusion.method, fusion.arms(tensor)) for fusion in fusions]
        answers = [known(method, arms) for method, arms in members]
        work = TensorWork(members, answers, dtype=tensor.entry.dtype, arithmetic=self.arithmetic)
        places = list(zip(self._chunks(tensor), self._cut(tensor), strict=True))
        for look in work.looks:
            parts = []
            for rows, place in places:
                read = partial(self._read, tensor, *place) if work.needs_base_to_look else None
                parts.append(pipeline.compute(partial(work.look, look, rows, read)))
            work.expect(look, parts)
        for rows, place in places:
            reading = pipeline.read(partial(self._read, tensor, *place))
            yield pipeline.compute(partial(_merged, work, rows, reading))


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Some bytes of a tensor, to be copied where they are not merged. `replaced`: what each fusion writes in their
    place, where one of them takes the tensor from an adapter."""

    base: bytes | memoryview
    replaced: tuple[bytes | memoryview, ...] = ()
    merged: MergedRows | None = None
    work: TensorWork | None = None

    def content(self, index: int) -> bytes | memoryview:
        """What one fusion writes."""
        if self.merged is None:
            return self.replaced[index] if self.replaced else self.base
        return self.merged.contents[index]

    def without_bytes(self) -> "Part":
        """Its figures."""
        figures = None if self.merged is None else replace(self.merged, contents=())
        return replace(self, base=b"", replaced=(), merged=figures)


def _merged(work: TensorWork, rows: Rows, reading: "Future[bytes | memoryview]") -> Part:
    content = reading.result()
    return Part(base=content, merged=work.merge(rows, content), work=work)
