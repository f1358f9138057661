"""`python -m benchmarks.merge_load.counted_merge RUN_SPEC COUNTS`: the merge stage, its bytes counted.

COUNTS becomes {"read": {URI: bytes}, "written": {URI: bytes}}. The stores' own methods count, whoever calls them.
"""

import functools
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paft_api.stages import StageName
from paft_trainer.launching.launcher import launch
from paft_trainer.storage.file_store import FileStore
from paft_trainer.storage.object_store import ObjectWriter
from paft_trainer.storage.s3_store import S3Store


class Counts:
    """Bytes by URI. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.read: Counter[str] = Counter()
        self.written: Counter[str] = Counter()

    def add_read(self, uri: str, size: int) -> None:
        """Bytes that came from an object."""
        with self._lock:
            self.read[uri] += size

    def add_written(self, uri: str, size: int) -> None:
        """Bytes that went to an object."""
        with self._lock:
            self.written[uri] += size


class CountedWriter:
    """A writer of one object."""

    def __init__(self, writer: ObjectWriter, uri: str, counts: Counts) -> None:
        self._writer = writer
        self._uri = uri
        self._counts = counts

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """As the writer's."""
        self._writer.write(data)
        self._counts.add_written(self._uri, memoryview(data).nbytes)


def count(store_class: type[Any], counts: Counts, *, puts_through_writer: bool) -> None:
    """Count what goes through every store of a class from now on. `puts_through_writer`: its unconditional ones."""
    store_class.read = _counted_read(store_class.read, counts)
    store_class.read_range = _counted_read(store_class.read_range, counts)
    open_writer, put = store_class.open_writer, store_class.put

    @contextmanager
    def counted_writer(self: Any, uri: str) -> Iterator[CountedWriter]:
        with open_writer(self, uri) as writer:
            yield CountedWriter(writer, uri, counts)

    def counted_put(self: Any, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        put(self, uri, data, only_if_absent=only_if_absent)
        if only_if_absent or not puts_through_writer:
            counts.add_written(uri, len(data))

    store_class.open_writer, store_class.put = counted_writer, counted_put


def _counted_read(read: Callable[..., bytes], counts: Counts) -> Callable[..., bytes]:
    @functools.wraps(read)
    def counted(self: Any, uri: str, *arguments: Any, **options: Any) -> bytes:
        content = read(self, uri, *arguments, **options)
        counts.add_read(uri, len(content))
        return content

    return counted


if __name__ == "__main__":
    counted = Counts()
    count(FileStore, counted, puts_through_writer=True)
    count(S3Store, counted, puts_through_writer=False)
    exit_code = launch(StageName.MERGE, Path(sys.argv[1]))
    Path(sys.argv[2]).write_text(json.dumps({"read": counted.read, "written": counted.written}))
    sys.exit(exit_code)
