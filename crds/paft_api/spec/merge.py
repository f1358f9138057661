"""spec.merge: how the two adapters and the base become one checkpoint."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from paft_api.model import DnsLabel, FolderUri, Model
from paft_api.spec.merge_methods import MergeMethod
from paft_api.spec.merge_options import MergeOptions
from paft_api.spec.merge_weights import ArmWeights
from paft_api.spec.resources import StageResources

__all__ = ["ArmWeights", "MergeCandidate", "MergeMethod", "MergeOptions", "MergeOutput", "MergeSpec"]

OutputForm = Literal["Full", "Adapter", "Recipe"]


class MergeOutput(Model):
    """Where the result goes, and in which form."""

    uri: FolderUri
    """An empty folder, or one that an earlier run of the same recipe wrote."""

    form: OutputForm = "Full"
    """Full: a fused checkpoint. Adapter: a LoRA adapter for the base; exact with linear, task_arithmetic, slerp between
    deltas, model_stock and the controls, the closest of its rank with the others. Recipe: only what would be merged,
    and how. Default: Full."""

    rank: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Rank of the adapter, at most; a lower one than the default is not exact. Default: the sum of both adapters'
    ranks; form Adapter only."""

    max_shard_size: Annotated[str, StringConstraints(max_length=16, pattern=r"^[1-9][0-9]*(KB|MB|GB)$")] = "5GB"
    """Largest safetensors file, in decimal units as in transformers. Default: 5GB."""

    @property
    def max_shard_bytes(self) -> int:
        """maxShardSize in bytes."""
        match = re.fullmatch(r"([0-9]+)(KB|MB|GB)", self.max_shard_size)
        assert match is not None
        return int(match[1]) * {"KB": 10**3, "MB": 10**6, "GB": 10**9}[match[2]]

    @model_validator(mode="after")
    def _rank_is_an_adapters(self) -> Self:
        if self.rank is not None and self.form != "Adapter":
            raise ValueError(f"rank {self.rank} has no effect with form {self.form}; remove it or use form Adapter")
        return self


class MergeCandidate(MergeOptions):
    """Another merge of the same adapters, written in the same pass."""

    name: Annotated[DnsLabel, StringConstraints(max_length=40)]
    """Its folder below candidates/ in the output. A DNS label of at most 40 characters."""


class MergeSpec(MergeOptions):
    """The last stage; it needs no GPU."""

    candidates: Annotated[tuple[MergeCandidate, ...], Field(max_length=16)] = ()
    """Merges beside this one, for comparison: the base is read once for all of them. Default: none."""

    output: MergeOutput
    """Where the result goes."""

    resources: StageResources = StageResources()
    """CPU and memory of the merge."""

    @model_validator(mode="after")
    def _candidates_have_names_of_their_own(self) -> Self:
        names = [candidate.name for candidate in self.candidates]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"candidates has the name {twice} twice; give each its own")
        return self

    @model_validator(mode="after")
    def _adapters_hold_deltas(self) -> Self:
        is_of_whole_weights = self.resolved().get("wholeWeights") is True
        if self.output.form == "Adapter" and is_of_whole_weights:
            raise ValueError(
                "output.form Adapter cannot hold what slerp with wholeWeights true does to the base's own weights; use "
                "wholeWeights false or form Full"
            )
        return self

    @model_validator(mode="after")
    def _candidates_are_checkpoints(self) -> Self:
        if self.candidates and self.output.form != "Full":
            raise ValueError(
                f"candidates are fused checkpoints, but output.form is {self.output.form}; use form Full or remove them"
            )
        return self
