"""A base's small files and its index in a node's cache, so that the second arm on a node does not fetch them again.

They lie beside the extents of their base, under their SHA-256, and count and give way as extents do.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from paft_trainer.base.cache_room import CacheRoom
from paft_trainer.base.extent_files import ExtentFiles

_PATIENCE_SECONDS = 60.0
"""For whoever fetches the same file; after that it is fetched twice."""


class KeptFiles:
    """Of one base. `directory`: the node's cache, of at most `max_bytes`. Raises OSError."""

    def __init__(self, directory: Path, base_digest: str, *, max_bytes: int) -> None:
        extents = directory / "extents"
        directory.mkdir(parents=True, exist_ok=True)
        self._room = CacheRoom(extents, max_bytes=max_bytes, kept=frozenset())
        self._files = ExtentFiles(extents / base_digest.removeprefix("sha256:"))

    def get(self, sha256: str, size: int, fetch: Callable[[], bytes]) -> bytes:
        """Content of this hash: what is kept, or what `fetch` gives and is then kept. Raises OSError and its errors."""
        found = self._find(sha256)
        if found is not None:
            return found
        with self._files.locked(sha256, size, patience_seconds=_PATIENCE_SECONDS) as partial:
            # Another arm may have fetched it while this one waited.
            found = self._find(sha256)
            if found is not None:
                return found
            content = fetch()
            if partial is not None and self._room.reserve(partial):
                with self._room.kept(partial):
                    partial.write_at(0, memoryview(content))
            return content

    def _find(self, sha256: str) -> bytes | None:
        """None where it is not there, or damaged."""
        with self._files.open(sha256) as file:
            content = None if file is None else file.readall()
        return content if content is not None and hashlib.sha256(content).hexdigest() == sha256 else None
