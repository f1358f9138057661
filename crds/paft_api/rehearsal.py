"""What dry runs found: of a merge, what it would read and write, how long it takes and how the deltas meet; of prepare,
what is wrong."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from paft_api.model import Digest, FolderUri, Model
from paft_api.report import Finding, MergeWarning

Count = Annotated[int, Field(ge=0)]


class FolderState(StrEnum):
    """What the merge would find in its folder."""

    FREE = "Free"
    """Nothing."""
    BEGUN = "Begun"
    """A claim of this recipe, perhaps shards: the merge continues there."""
    FINISHED = "Finished"
    """This merge, complete: nothing is written."""


class InterferenceFigures(Model):
    """How two deltas meet in some tensors, as in merge_interference.json. Shares are of all entries, unless they say of
    which; unset where there is nothing to divide by."""

    entries: Count
    """Entries of the tensors."""
    norm_sft: float
    """Frobenius norm of the SFT delta."""
    norm_preference: float
    """Frobenius norm of the preference delta."""
    norm_ratio: float | None = None
    """The first by the second."""
    cosine: float | None = None
    """Cosine of the angle between them."""
    density_sft: float | None = None
    """Share of entries that the SFT delta changes."""
    density_preference: float | None = None
    """Share of entries that the preference delta changes."""
    support_overlap: float | None = None
    """Entries that both change, of those that either does."""
    sign_conflicts: float | None = None
    """Entries that both change in opposite directions, of those that both change."""
    norm_merged: float
    """Frobenius norm of the merged delta, before rounding."""
    norm_kept: float | None = None
    """The same by the norm of the plain sum of both deltas."""
    zero_before_rounding: float | None = None
    """Share of entries that the merged delta leaves alone."""
    zero_after_rounding: float | None = None
    """Share of entries that keep the base's bits."""
    lost_to_rounding: float | None = None
    """Entries that keep the base's bits, of those that the merged delta changes."""
    rank_error: float | None = None
    """What factors cut to a rank leave out; unset here, as a sample is merged into weights."""


class LayerInterference(InterferenceFigures):
    """Of one layer of the sample."""

    layer: Count
    """Its number."""


class RehearsedMerge(Model):
    """One of the merges: the main one, or a candidate."""

    name: str | None = None
    """The candidate's; unset for the main one."""
    uri: FolderUri
    """Where it would go."""
    method: Annotated[str, StringConstraints(max_length=64)]
    """Merge method."""
    recipe_digest: Digest
    """What its folder would be claimed for."""
    state: FolderState
    """What is in its folder."""
    shards: Count
    """Files of weights."""
    shards_left: Count
    """Those that are not there yet."""
    bytes_written: Count
    """Weights that are not there yet, and copies of the base's other files. README.md, index, interference report and
    manifest, less than 1 kB for each tensor, are not counted."""
    bytes_compared: Count
    """Shards of an interrupted merge, which are read before they are trusted."""
    sampled: InterferenceFigures | None = None
    """Over the whole sample; unset for a finished merge, which has its whole report in its folder."""
    layers: tuple[LayerInterference, ...] = ()
    """Of the layers in the sample."""
    warnings: tuple[MergeWarning, ...] = ()
    """What the merge would warn of, were the sample the model."""


class Sample(Model):
    """What was merged here, for all merges that are not finished, with the bytes thrown away."""

    layers: tuple[int, ...]
    """First, middle and last one of those that the adapters change; none where they change no layers."""
    tensors: Count
    """Tensors that were merged."""
    merged_bytes: Count
    """Bytes of the base in them."""
    merged_seconds: Annotated[float, Field(ge=0)]
    """What that took."""
    copied_bytes: Count
    """Bytes of the base that were copied, to learn how fast that is; 0 where all tensors are merged."""
    copied_seconds: Annotated[float, Field(ge=0)]
    """What that took."""


class Rehearsal(Model):
    """What a merge would do. Nothing was claimed or written."""

    base: FolderUri
    """The base."""
    merged_tensors: Count
    """Tensors that get a delta."""
    copied_tensors: Count
    """Tensors that are copied."""
    merges: tuple[RehearsedMerge, ...]
    """The main one, then candidates."""
    bytes_read: Count
    """From the store, for all merges together."""
    bytes_written: Count
    """To the store, for all merges together."""
    sample: Sample | None = None
    """Unset where nothing is left to be merged."""
    seconds: Annotated[float, Field(ge=0)] | None = None
    """How long the merge would take on this machine at the sample's speed; unset without a sample, and for forms other
    than Full."""
    peak_memory_bytes: Count | None = None
    """Peak resident memory while the sample was merged; unset as `seconds` is."""
    notes: tuple[str, ...] = ()
    """In words: how this was measured, what it does not include, and what was not checked."""


class RehearsedPreparation(Model):
    """What prepare would find. Nothing was written."""

    findings: tuple[Finding, ...] = ()
    """All that is wrong; none where a job could begin, as far as that can be told without writing."""
    notes: tuple[str, ...] = ()
    """In words: what was not checked."""
