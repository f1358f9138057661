"""Symbolic links in folders of this machine: followed within the folder, and never out of it.

What lies beside a base's weights is copied into merged checkpoints. A link in a folder that came from a stranger could
put any file of this machine there. Hugging Face's cache is the exception: its `snapshots/<revision>/` is made of links
into `blobs/` of the same repository.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from paft_trainer.errors import ConfigInvalid
from paft_trainer.foreign_documents import shown
from paft_trainer.storage.file_store import path_of

REMEDY = "Put the file itself there, or give the folder that it lies in."


def links_out_of(folder: str, names: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Those of `names` (as a listing tells them) that lead out of the folder, with where they lead to.

    Nothing for folders in object stores, which have no links.
    """
    if not folder.startswith("file://"):
        return
    # The folder itself may well be reached by a link.
    place = _real(path_of(folder))
    allowed = [place, *(parent.parent / "blobs" for parent in place.parents if parent.name == "snapshots")]
    for name in names:
        target = _real(path_of(folder + name))
        if not any(target.is_relative_to(root) for root in allowed):
            yield name, target


def require_no_links_out(folder: str, names: Iterable[str]) -> None:
    """Raises ConfigInvalid for the first of `names` that leads out of the folder."""
    for name, target in links_out_of(folder, names):
        raise ConfigInvalid(f"{folder}{shown(name)} is a symbolic link out of its folder, to {target}", remedy=REMEDY)


def _real(path: Path) -> Path:
    # Path.resolve raises where links lead in a circle; whoever reads such a file is told then.
    return Path(os.path.realpath(path))
