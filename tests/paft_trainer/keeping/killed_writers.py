"""Processes that SIGKILL ends in the middle of what they write: what they leave is real.

`python -m tests.paft_trainer.keeping.killed_writers merge RUN_SPEC | checkpoint STORAGE_SPEC ATTEMPT`: writes until the
store knows of an upload that has not ended, and ends itself. `prepare STORAGE_SPEC ATTEMPT OUTPUT`: tries out its
rights, and ends itself before it deletes a probe (attempt 1), or in the middle of an entry of the index.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paft_api.run_spec import RunSpec
from paft_api.spec.storage import StorageSpec
from paft_api.spec.training import KeepSpec
from paft_trainer.storage import ObjectWriter, open_store

PART_BYTES = 8 * 1024 * 1024
"""More than this is streamed in parts."""


def kill_while_merging(run_spec: RunSpec, folder: Path) -> None:
    """Run a merge until it is dead. `folder`: for its RunSpec."""
    (folder / "killed.json").write_text(run_spec.to_json())
    _run("merge", str(folder / "killed.json"))


def kill_while_saving(storage: StorageSpec, attempt: int, folder: Path) -> None:
    """Run an attempt that saves step 4 and dies while it saves step 8."""
    (folder / "killed.json").write_text(storage.to_json())
    _run("checkpoint", str(folder / "killed.json"), str(attempt))


def kill_while_preparing(storage: StorageSpec, attempt: int, output: str, folder: Path) -> None:
    """Run an attempt at prepare: of attempt 1 the probe in the output is left, of others an unfinished entry."""
    (folder / "killed.json").write_text(storage.to_json())
    _run("prepare", str(folder / "killed.json"), str(attempt), output)


def _run(*arguments: str) -> None:
    command = [sys.executable, "-m", "tests.paft_trainer.keeping.killed_writers", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


class KilledStore:
    """A real store whose process dies in a streamed write as soon as that is under way."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def open_writer(self, uri: str) -> Iterator[ObjectWriter]:
        with self._store.open_writer(uri) as writer:
            yield _KilledWriter(self._store, uri, writer)


class _KilledWriter:
    def __init__(self, store: Any, uri: str, writer: ObjectWriter) -> None:
        self._store, self._uri, self._writer = store, uri, writer
        self._bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._writer.write(data)
        self._bytes += memoryview(data).nbytes
        if self._bytes > PART_BYTES:
            folder = self._uri.rpartition("/")[0] + "/"
            while not list(self._store.unfinished_uploads(folder)):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)


def _merge(file: str) -> None:
    from paft_trainer.merge import stage
    from paft_trainer.reporting import Reporter
    from paft_trainer.stage_store import open_stage_store

    run_spec = RunSpec.model_validate_json(Path(file).read_text())
    stage.open_stage_store = lambda *arguments: KilledStore(open_stage_store(*arguments))
    stage.run(run_spec, Reporter(run_spec.identity, None))


def _save(file: str, attempt: str) -> None:
    from tests.paft_trainer.keeping.stored_attempts import folder_of, identity, small_checkpoint, stage_of
    from tests.saved_checkpoints import save_checkpoint

    from paft_trainer.keeping.own_attempts import marked_arm_attempt

    storage = StorageSpec.model_validate_json(Path(file).read_text())
    store, folder = open_store(storage), folder_of(storage, int(attempt))
    keep = KeepSpec(last=1, best=0)
    with marked_arm_attempt(store, stage_of(storage), identity(int(attempt)), keep, end_store=lambda: store):
        save_checkpoint(store, folder, small_checkpoint(4), eval_loss=None)
        save_checkpoint(KilledStore(store), folder, small_checkpoint(8, elements=PART_BYTES), eval_loss=None)


def _prepare(file: str, attempt: str, output: str) -> None:
    from paft_api.layout import INDEX, probe_uri, writer_name
    from paft_api.run_spec import StageIdentity
    from paft_api.stages import StageName
    from paft_trainer.keeping.prepare_attempts import marked_prepare_attempt
    from paft_trainer.publishing import supports_conditional_put

    storage, number = StorageSpec.model_validate_json(Path(file).read_text()), int(attempt)
    identity = StageIdentity(
        job_name="demo", job_namespace="team", job_uid="uid", generation=1, stage=StageName.PREPARE, attempt=number
    )
    store = open_store(storage, writer=writer_name(StageName.PREPARE, "uid", number))
    probes = tuple(probe_uri(folder, "uid", number) for folder in (storage.artifacts_uri, output))
    with marked_prepare_attempt(store, storage.artifacts_uri, identity, probes=probes, end_store=lambda: store):
        supports_conditional_put(store, probes[0])
        if number == 1:
            # The last thing that happens to a probe.
            store.delete = lambda uri: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        supports_conditional_put(store, probes[1])
        with store.open_writer(f"{storage.artifacts_uri}{INDEX}{'0' * 64}.json") as writer:
            writer.write(b"{")
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    {"merge": _merge, "checkpoint": _save, "prepare": _prepare}[sys.argv[1]](*sys.argv[2:])
