"""Lists and reads what is left of attempts at prepare: their markers, their probes, and what they began to write."""

import re
from collections import defaultdict

from paft_api.layout import PREPARE_ATTEMPTS, PROBE_PREFIX
from paft_api.stages import StageName
from paft_trainer.keeping.attempt_marker import AttemptMarker, read_marker
from paft_trainer.keeping.contents import AttemptContents
from paft_trainer.keeping.prepare_verdicts import PrepareContents
from paft_trainer.storage import ObjectStore, StorageAuth, UnfinishedUpload

_MARKER = re.compile(r"([^/]+)\.json")
_MOST_MARKER_BYTES = 1024 * 1024
_WRITER_PREFIX = f"{StageName.PREPARE}-"


def read_prepare(store: ObjectStore, artifacts_uri: str) -> PrepareContents:
    """All attempts at prepare under artifactsUri. Raises errors of the store."""
    uploads: defaultdict[str, dict[str, tuple[UnfinishedUpload, ...]]] = defaultdict(dict)
    for upload in store.unfinished_uploads(artifacts_uri):
        if is_of_prepare(upload):
            uploads[_attempt_of(upload)][upload.uri] = (upload,)
    folder = artifacts_uri + PREPARE_ATTEMPTS
    found = {
        match[1]: info
        for info in store.list(folder)
        if (match := _MARKER.fullmatch(info.uri.removeprefix(folder))) and info.size <= _MOST_MARKER_BYTES
    }
    markers = {name: marker for name, info in found.items() if (marker := _read(store, info.uri, name)) is not None}
    unseen: dict[str, str] = {}
    attempts = []
    for name in sorted({*markers, *uploads}):
        sizes: dict[str, int] = {}
        if name in markers:
            sizes[found[name].uri] = found[name].size
            for probe in _probes(markers[name]):
                try:
                    uploads[name] |= _beside(store, probe, name)
                    info = store.head(probe)
                except StorageAuth as error:
                    unseen[name] = f"nobody here may look whether its probe is there: {error.message}"
                    continue
                sizes |= {} if info is None else {probe: info.size}
        attempts.append(AttemptContents(name=name, marker=markers.get(name), sizes=sizes, uploads=uploads[name]))
    return PrepareContents(
        artifacts_uri=artifacts_uri,
        attempts=tuple(attempts),
        markers={name: found[name].uri for name in markers},
        unseen=unseen,
    )


def is_of_prepare(upload: UnfinishedUpload) -> bool:
    """Whether an attempt at prepare writes it, as far as the store can tell."""
    return upload.writer is not None and upload.writer.startswith(_WRITER_PREFIX)


def _attempt_of(upload: UnfinishedUpload) -> str:
    assert upload.writer is not None
    return upload.writer.removeprefix(_WRITER_PREFIX)


def _read(store: ObjectStore, uri: str, name: str) -> AttemptMarker | None:
    marker = read_marker(store, uri, name)
    return marker if marker is not None and marker.identity.stage is StageName.PREPARE else None


def _probes(marker: AttemptMarker) -> list[str]:
    """Only under the one name that is this attempt's, whatever the marker says."""
    return [uri for uri in marker.writes if uri.rpartition("/")[2] == f"{PROBE_PREFIX}{marker.name}"]


def _beside(store: ObjectStore, probe: str, name: str) -> dict[str, tuple[UnfinishedUpload, ...]]:
    """What this attempt has begun to write in the folder of its probe."""
    folder = probe.rpartition("/")[0] + "/"
    return {
        upload.uri: (upload,)
        for upload in store.unfinished_uploads(folder)
        if is_of_prepare(upload) and _attempt_of(upload) == name
    }
