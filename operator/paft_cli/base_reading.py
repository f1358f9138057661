"""What an estimate needs of a base and of data, read through the trainer's own readers; nothing is written."""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from paft_api.spec.arm import ArmSpec
from paft_api.spec.base import BaseSpec
from paft_api.spec.job import PaftJobSpec
from paft_api.stages import StageName
from paft_cli.estimates.base_shape import BaseShape, StoredTensor, base_shape
from paft_cli.estimates.data_size import DataSize, size_of_lengths

_READS_AT_ONCE = 8


def open_job_store(spec: PaftJobSpec) -> Any:
    """The object store as the job's stages reach it. Raises ConfigInvalid where credentials are missing here."""
    from paft_trainer.storage import open_store

    return open_store(spec.storage, sources={"spec.base": spec.base})


def read_base_shape(store: Any, base: BaseSpec) -> BaseShape:
    """From config.json and the headers of the weights: some kilobytes. Raises StageError and CannotEstimate."""
    from paft_trainer.checkpoint_files import CONFIGURATION_FILE, find_checkpoint_files
    from paft_trainer.safetensors_files import read_header

    files = find_checkpoint_files(store, base.uri)
    config = json.loads(store.read(base.uri + CONFIGURATION_FILE))
    with ThreadPoolExecutor(_READS_AT_ONCE) as threads:
        headers = list(threads.map(lambda name: read_header(store, base.uri + name), files.weights))
    entries = (entry for header in headers for entry in header.entries)
    return base_shape(config, {entry.name: StoredTensor(shape=entry.shape, size=entry.size) for entry in entries})


def read_data_sizes(store: Any, base: BaseSpec, arms: dict[StageName, ArmSpec], *, sample: int) -> dict[str, DataSize]:
    """All training rows of the arms are read and checked, and `sample` of each arm counted in tokens. Raises
    StageError."""
    if not arms:
        return {}
    from paft_trainer.checkpoint_files import find_checkpoint_files
    from paft_trainer.prepare.base_model_checks import open_tokenizer
    from paft_trainer.rehearsal.token_lengths import sample_lengths

    sizes = {}
    with tempfile.TemporaryDirectory(prefix="paft-estimate-") as folder:
        for name in find_checkpoint_files(store, base.uri).others:
            (Path(folder) / name).write_bytes(store.read(base.uri + name))
        tokenizer = open_tokenizer(base, Path(folder))
    for stage, arm in arms.items():
        sampled = sample_lengths(
            store,
            arm.data.train,
            tokenizer,
            max_length=arm.training.max_length,
            sample=sample,
            max_bad_rows=arm.data.max_bad_rows,
        )
        sizes[stage.value] = size_of_lengths(
            sampled.lengths, counted_rows=sampled.rows, stored_bytes=sampled.stored_bytes
        )
    return sizes
