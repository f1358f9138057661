"""Reference log-probabilities as objects: each shard of rows a safetensors file of its own, known by its content.

`ref_chosen_logps` and `ref_rejected_logps`, F32, shape (rows of the shard,). The metadata hold the digest of what they
depend on, the first row and the SHA-256 of the values, so that a torn or foreign file is told from a good one.
"""

import hashlib

import numpy as np
import torch

from paft_trainer.errors import ArtifactMismatch
from paft_trainer.safetensors_files import encode_header, parse_header
from paft_trainer.storage import ObjectMissing, ObjectStore, OperationUnsupported, PreconditionFailed
from paft_trainer.training.batching.examples import REFERENCE_COLUMNS

_SMALLEST_SHARD = 16
_MOST_SHARDS = 256


def shard_rows(rows: int) -> list[range]:
    """Rows of each shard: a function of their number alone, so that any number of processes continues another's work.

    At most 256 shards, for each is a request; at least 16 rows in each but the last.
    """
    size = max(_SMALLEST_SHARD, -(-rows // _MOST_SHARDS))
    return [range(first, min(first + size, rows)) for first in range(0, rows, size)]


class ReferenceShards:
    """The shards of one identity in the object store.

    `folder`: where they lie. `digest`: what they depend on. `allow_unconditional`: for stores that know no conditions.
    """

    def __init__(self, store: ObjectStore, folder: str, digest: str, *, allow_unconditional: bool) -> None:
        self._store = store
        self._folder = folder
        self._digest = digest
        self._allow_unconditional = allow_unconditional

    def read(self, rows: range) -> torch.Tensor | None:
        """Chosen and rejected log-probabilities, fp32, shape (2, rows); None where they are missing or not whole."""
        try:
            content = self._store.read(self._uri(rows))
        except ObjectMissing:
            return None
        return self._decoded(content, rows)

    def publish(self, rows: range, values: torch.Tensor) -> torch.Tensor:
        """Write a shard that was missing or broken; returns what holds, which is another writer's if it was faster.

        Values of another world or machine may differ in their last bits, and one run must not mix two versions.
        """
        content = self._encoded(rows, values)
        try:
            self._store.put(self._uri(rows), content, only_if_absent=True)
        except PreconditionFailed:
            held = self.read(rows)
            if held is not None:
                return held
            self._store.put(self._uri(rows), content)
        except OperationUnsupported:
            if not self._allow_unconditional:
                raise
            self._store.put(self._uri(rows), content)
        return values

    def _uri(self, rows: range) -> str:
        return f"{self._folder}rows-{rows.start:010d}-{rows.stop:010d}.safetensors"

    def _encoded(self, rows: range, values: torch.Tensor) -> bytes:
        data = values.numpy().astype("<f4").tobytes()
        metadata = {"digest": self._digest, "firstRow": str(rows.start), "sha256": hashlib.sha256(data).hexdigest()}
        return encode_header([(name, "F32", (len(rows),)) for name in REFERENCE_COLUMNS], metadata=metadata) + data

    def _decoded(self, content: bytes, rows: range) -> torch.Tensor | None:
        length = int.from_bytes(content[:8], "little")
        try:
            header = parse_header(self._uri(rows), content[8 : 8 + length], file_size=len(content))
        except ArtifactMismatch:
            return None
        data = content[header.data_start :]
        expected = {"digest": self._digest, "firstRow": str(rows.start), "sha256": hashlib.sha256(data).hexdigest()}
        if header.metadata != expected or len(data) != 2 * 4 * len(rows):
            return None
        return torch.from_numpy(np.frombuffer(data, dtype="<f4").reshape(2, len(rows)).copy())
