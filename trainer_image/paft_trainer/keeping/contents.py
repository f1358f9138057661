"""What a folder holds, as far as it matters for what can go. Names are relative to the folder that they are told of."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from paft_api.layout import ADAPTER_MANIFEST_FILE, CHECKPOINTS, MERGE_MANIFEST_FILE
from paft_api.stages import StageName
from paft_trainer.keeping.attempt_marker import AttemptMarker
from paft_trainer.keeping.saved_checkpoints import CheckpointManifest
from paft_trainer.storage import UnfinishedUpload

_CHECKPOINT_FOLDER = re.compile(rf"{re.escape(CHECKPOINTS)}step-[0-9]+/")

Sizes = Mapping[str, int]
"""Bytes by name."""

Uploads = Mapping[str, tuple[UnfinishedUpload, ...]]
"""Streamed writes by the name of what they would become; for files, by the temporary file's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptContents:
    """One attempt. `name`: `<job uid>-<attempt>`. `checkpoints`: manifests by the checkpoint's folder; None for one
    that this version cannot read."""

    name: str
    marker: AttemptMarker | None
    sizes: Sizes = field(default_factory=dict)
    uploads: Uploads = field(default_factory=dict)
    checkpoints: Mapping[str, CheckpointManifest | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedContents:
    """The files that readers see, without folders below. `promised`: sizes as the manifest tells; None without a
    manifest that can be read."""

    sizes: Sizes
    uploads: Uploads = field(default_factory=dict)
    promised: Sizes | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the manifest and all that it lists are there."""
        return self.promised is not None and all(self.sizes.get(name) == size for name, size in self.promised.items())

    def is_of_the_result(self, name: str) -> bool:
        """Whether the manifest lists a file, or it is the manifest."""
        return name in (self.promised or ()) or name in (ADAPTER_MANIFEST_FILE, CHECKPOINTS, MERGE_MANIFEST_FILE)


@dataclass(frozen=True, kw_only=True, slots=True)
class StageContents:
    """The folder of one stage digest of an arm. `attempts`: by job and number."""

    uri: str
    stage: StageName
    digest: str
    published: PublishedContents
    attempts: tuple[AttemptContents, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputContents:
    """An output. `folders`: those that hold a claim of ours, "" for the output itself, `candidates/<name>/` for others.
    `other_uploads`: streamed writes elsewhere below it."""

    uri: str
    recipe_digest: str | None
    folders: Mapping[str, PublishedContents]
    attempts: tuple[AttemptContents, ...]
    other_uploads: Uploads = field(default_factory=dict)

    @property
    def is_finished(self) -> bool:
        """Whether the merge and all its candidates are there."""
        return bool(self.folders) and all(folder.is_finished for folder in self.folders.values())


def checkpoint_folders(sizes: Sizes) -> dict[str, dict[str, int]]:
    """From the files of an attempt to those of each checkpoint in it, by its folder `checkpoints/step-…/`."""
    folders: dict[str, dict[str, int]] = {}
    for name, size in sizes.items():
        folder, slash, file = name.rpartition("/")
        if _CHECKPOINT_FOLDER.fullmatch(folder + slash):
            folders.setdefault(folder + slash, {})[file] = size
    return folders
