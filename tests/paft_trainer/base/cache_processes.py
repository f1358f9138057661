"""Processes of their own that read a base through a node's cache."""

import hashlib
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

from paft_api.spec.storage import StorageSpec
from paft_trainer.base import extents
from paft_trainer.base.cached_pieces import CachedPieces
from paft_trainer.base.piece_index import PieceIndex, PieceRun
from paft_trainer.base.store_pieces import StorePieces
from paft_trainer.storage import open_store
from paft_trainer.storage.file_store import FileStore

CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What a process reads. `user`: uid and gid it becomes, with `umask`."""

    storage: StorageSpec
    base_uri: str
    index: PieceIndex
    directory: Path
    extent_bytes: int
    runs: Sequence[PieceRun]
    max_bytes: int = 2**40
    user: int | None = None
    umask: int = 0o022


@dataclass(kw_only=True)
class Outcome:
    """What it found. `sha256`: of each tensor that was read as a whole."""

    bytes_read: int
    notices: list[str] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StartedReader:
    """A process that reads. `connection`: what it found comes through it."""

    process: BaseProcess
    connection: Connection

    def outcome(self) -> Outcome | None:
        """When it has ended; None where it was killed."""
        try:
            return self.connection.recv()
        except EOFError:
            return None
        finally:
            self.process.join()
            self.connection.close()


def start_readers(readers: Sequence[Reader]) -> list[StartedReader]:
    """Processes that begin all at once; when they have begun."""
    barrier = CONTEXT.Barrier(len(readers) + 1)
    started = []
    for reader in readers:
        here, there = CONTEXT.Pipe()
        process = CONTEXT.Process(target=_read, args=(reader, barrier, there))
        process.start()
        there.close()
        started.append(StartedReader(process=process, connection=here))
    barrier.wait()
    return started


def read_in_processes(readers: Sequence[Reader]) -> list[Outcome]:
    """All at once; what each found."""
    outcomes = [started.outcome() for started in start_readers(readers)]
    assert None not in outcomes
    return outcomes


def _read(reader: Reader, barrier: Barrier, connection: Connection) -> None:
    if reader.user is not None:
        os.setgid(reader.user)
        os.setuid(reader.user)
    os.umask(reader.umask)
    extents.EXTENT_BYTES = reader.extent_bytes
    notices: list[str] = []
    direct = StorePieces(open_store(reader.storage), reader.base_uri, reader.index)
    barrier.wait()
    source = CachedPieces(direct, reader.directory, max_bytes=reader.max_bytes, on_notice=notices.append)
    contents: dict[str, bytearray] = {}
    for run, content in source.read(reader.runs):
        contents.setdefault(run.tensor.name, bytearray(run.tensor.size))[run.start : run.stop] = content
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    connection.send(Outcome(bytes_read=source.bytes_read, notices=notices, sha256=sha256))


class StuckStore(FileStore):
    """Answers so many requests, and then none any more."""

    def __init__(self, answers: int, stuck: Event) -> None:
        super().__init__()
        self.answers = answers
        self.stuck = stuck

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        self.answers -= 1
        if self.answers < 0:
            self.stuck.set()
            CONTEXT.Event().wait()
        return super().read_range(uri, start, size, etag=etag)


def start_stuck_reader(reader: Reader, *, answers: int) -> BaseProcess:
    """A process that holds locks on extents half written, for ever."""
    stuck = CONTEXT.Event()
    process = CONTEXT.Process(target=_read_until_stuck, args=(reader, answers, stuck), daemon=True)
    process.start()
    assert stuck.wait(60)
    return process


def _read_until_stuck(reader: Reader, answers: int, stuck: Event) -> None:
    extents.EXTENT_BYTES = reader.extent_bytes
    direct = StorePieces(StuckStore(answers, stuck), reader.base_uri, reader.index)
    source = CachedPieces(direct, reader.directory, max_bytes=reader.max_bytes)
    for _ in source.read(reader.runs):
        pass
