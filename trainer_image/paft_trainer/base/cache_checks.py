"""Whether a folder of a node that a job names for its cache can be used at all, before anything is spent."""

import errno
import os
import tempfile
from pathlib import Path

from paft_api.run_spec import RunSpec
from paft_trainer.base.cache_room import CacheRoom
from paft_trainer.base.shared_files import NEW_PREFIX
from paft_trainer.errors import ConfigInvalid

HOST_PATH_FIELD = "spec.base.cache.hostPath.path"

_STAYS_SO = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
)
"""What no waiting mends. Where a disk is full or ailing, the cache is passed by, and the base is read directly."""


def require_usable_cache(run_spec: RunSpec) -> None:
    """Make the folder, and write into it as readers do. Raises ConfigInvalid for a hostPath that cannot be written.

    A base that lies on the machine itself needs no cache, so that none is looked at.
    """
    spec, cache = run_spec.base.cache, run_spec.base_cache
    if spec is None or spec.host_path is None or cache is None or run_spec.base.uri.startswith("file://"):
        return
    directory = Path(cache.directory)
    extents = directory / "extents"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        CacheRoom(extents, max_bytes=cache.max_bytes, kept=frozenset())
        with tempfile.TemporaryFile(dir=extents, prefix=NEW_PREFIX):
            pass
    except OSError as error:
        if error.errno not in _STAYS_SO:
            return
        raise ConfigInvalid(
            f"{HOST_PATH_FIELD} {spec.host_path.path}: the node's cache cannot be written by user {os.geteuid()}, "
            f"group {os.getegid()}: {error.strerror}",
            remedy="On every node make it a folder that the pods' user may write to (mode 0777, or the pods' group and "
            "mode 2775), name another folder, or remove spec.base.cache.",
        ) from error
