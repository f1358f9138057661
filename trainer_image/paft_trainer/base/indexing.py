"""Reads a base once, each byte once, and tells the hashes of its tensors and of their pieces.

The unit of work is a stretch: tensors that follow one another in a file. Stretches are hashed side by side, those of
one file too, and what is known of one is kept at once. Who is killed on the way begins again with the stretches that
were under way. (The state of a hash cannot be kept, so no hash goes over more than one tensor.)
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from paft_trainer.base.piece_index import IndexedFile, IndexedTensor
from paft_trainer.base.tensor_hashes import hash_tensors
from paft_trainer.base.unfinished_index import UnfinishedIndex
from paft_trainer.checkpoint_files import CheckpointFiles, require_index
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.foreign_documents import shown
from paft_trainer.read_ahead import FILES_AT_ONCE, ReadAhead
from paft_trainer.safetensors_files import TensorEntry, parse_header, read_raw_header
from paft_trainer.storage import ObjectInfo, ObjectStore

STRETCH_BYTES = 256 * 1024 * 1024
"""A stretch ends with the first tensor with which it has as many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Tensors of one file without gaps between them."""

    file: str
    entries: tuple[TensorEntry, ...]

    @property
    def start(self) -> int:
        """Offset of the first byte."""
        return self.entries[0].start

    @property
    def size(self) -> int:
        """Bytes."""
        return self.entries[-1].start + self.entries[-1].size - self.start


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsFile:
    """A file of weights whose header was read."""

    file: IndexedFile
    entries: tuple[TensorEntry, ...]

    def stretches(self) -> Iterator[Stretch]:
        """All of its tensors."""
        together: list[TensorEntry] = []
        for entry in self.entries:
            together.append(entry)
            if entry.start + entry.size - together[0].start >= STRETCH_BYTES:
                yield Stretch(file=self.file.name, entries=tuple(together))
                together = []
        if together:
            yield Stretch(file=self.file.name, entries=tuple(together))


def read_weights_files(
    store: ObjectStore, base_uri: str, infos: Iterable[ObjectInfo], found: CheckpointFiles
) -> list[WeightsFile]:
    """The headers of a base. Raises ArtifactMismatch where they do not belong together, or hold no tensors."""
    files = [
        read_weights_file(store, info, name=info.uri.removeprefix(base_uri))
        for info in infos
        if info.uri.removeprefix(base_uri) in found.weights
    ]
    places: dict[str, str] = {}
    for one in files:
        for entry in one.entries:
            if entry.name in places:
                raise ArtifactMismatch(
                    f"{shown(entry.name)} lies in {base_uri}{places[entry.name]} and in {base_uri}{one.file.name}",
                    remedy="Upload the base again.",
                )
            places[entry.name] = one.file.name
    if not places:
        raise ArtifactMismatch(f"{base_uri} holds no tensors", remedy="Upload the base again.")
    if found.weight_map is not None:
        require_index(base_uri, found.weight_map, places)
    return files


def read_weights_file(store: ObjectStore, info: ObjectInfo, *, name: str) -> WeightsFile:
    """Read one header. Raises ArtifactMismatch."""
    raw = read_raw_header(store, info)
    header = parse_header(info.uri, raw[8:], file_size=info.size)
    file = IndexedFile(
        name=name,
        size=info.size,
        etag=info.etag,
        data_start=header.data_start,
        header_sha256=hashlib.sha256(raw).hexdigest(),
    )
    return WeightsFile(file=file, entries=header.entries)


def hash_weights(
    reads: ReadAhead,
    base_uri: str,
    files: Sequence[WeightsFile],
    unfinished: UnfinishedIndex | None,
    *,
    on_bytes: Callable[[int], None] = lambda count: None,
) -> dict[str, IndexedTensor]:
    """All tensors of these files, by name. `on_bytes` hears, from several threads, how many more bytes are hashed."""
    known = {} if unfinished is None else unfinished.known_tensors(one.file for one in files)

    def hash_stretch(number: int, file: IndexedFile, stretch: Stretch) -> list[IndexedTensor]:
        hashed = _known(stretch, known)
        if hashed is not None:
            on_bytes(stretch.size)
            return hashed
        chunks = reads.chunks(base_uri + file.name, stretch.start, stretch.size, etag=file.etag)
        hashed = hash_tensors(file.name, stretch.entries, _heard(chunks, on_bytes))
        if unfinished is not None:
            unfinished.keep(number, file, hashed)
        return hashed

    stretches = [(one.file, stretch) for one in files for stretch in one.stretches()]
    with ThreadPoolExecutor(FILES_AT_ONCE, "paft-hash") as threads:
        futures = [threads.submit(hash_stretch, number, *one) for number, one in enumerate(stretches)]
        try:
            return {tensor.name: tensor for future in futures for tensor in future.result()}
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _known(stretch: Stretch, known: Mapping[str, IndexedTensor]) -> list[IndexedTensor] | None:
    """What is known of its tensors, where it is known of all and of just these."""
    found = [known[entry.name] for entry in stretch.entries if entry.name in known]
    places = [(tensor.name, tensor.file, tensor.dtype, tensor.shape, tensor.start) for tensor in found]
    wanted = [(entry.name, stretch.file, entry.dtype, entry.shape, entry.start) for entry in stretch.entries]
    return found if places == wanted else None


def _heard(chunks: Iterable[bytes], on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    for chunk in chunks:
        on_bytes(len(chunk))
        yield chunk
