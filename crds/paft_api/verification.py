"""What `paft verify` found in a folder."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from paft_api.model import Digest, FolderUri, Model

FolderKind = Literal["merge", "adapter", "base"]


class ProblemKind(StrEnum):
    """What can be wrong with a file."""

    MISSING = "Missing"
    """It is not there."""
    SIZE = "Size"
    """It has more or fewer bytes than when it was published."""
    CONTENT = "Content"
    """It has as many bytes, but others."""
    SWAPPED = "Swapped"
    """It holds what another file of the folder should hold."""
    EXTRA = "Extra"
    """Readers would load it, but it was not published."""
    LINK = "Link"
    """It is a symbolic link out of the folder."""
    FORMAT = "Format"
    """It is no proper file of its kind, although it is what was published."""
    INDEX = "Index"
    """The index of the weights does not tell where the tensors lie."""
    MANIFEST = "Manifest"
    """The manifest is missing or broken."""
    CLAIM = "Claim"
    """The claim on the folder is another's than the manifest."""
    DIGEST = "Digest"
    """The whole is not what it should be."""


class Problem(Model):
    """One thing that is wrong."""

    file: str
    """Name relative to the folder; `.` for the folder as a whole."""
    kind: ProblemKind
    """What is wrong."""
    message: str
    """The same in words."""
    remedy: str
    """What to do."""


class VerifiedFolder(Model):
    """One folder; a merge with candidates has several."""

    uri: FolderUri
    """Where it is."""
    kind: FolderKind
    """What it was compared as: a base, or what its manifest says."""
    digest: Digest | None = None
    """What its manifest, or the index of the base, says; none where these are broken, or no index is known."""
    files: Annotated[int, Field(ge=0)]
    """Files that were read."""
    bytes: Annotated[int, Field(ge=0)]
    """Bytes that were read."""
    problems: tuple[Problem, ...]
    """All that is wrong."""
    unlisted: tuple[str, ...] = ()
    """Files beside the published ones which no reader of checkpoints loads; they are not checked."""


class Verification(Model):
    """All that was found."""

    folders: tuple[VerifiedFolder, ...]
    """The folder that was asked for, then its candidates."""
    seconds: Annotated[float, Field(ge=0)]
    """How long it took."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not any(folder.problems for folder in self.folders)
