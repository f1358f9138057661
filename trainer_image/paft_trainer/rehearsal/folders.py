"""The folders of a merge as it would find them: by listing, and reading small documents alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from paft_api.layout import SHARD_RECORD_PREFIX, candidate_folder
from paft_api.rehearsal import FolderState
from paft_api.run_spec import MergeRun, RunSpec
from paft_api.spec.merge import MergeCandidate, MergeOptions
from paft_trainer.merge.inputs import MergeInputs
from paft_trainer.merge.output import OutputFolder
from paft_trainer.merge.recipe import is_claimed, make_recipe
from paft_trainer.merge.saved_tensors import Replacement, replacements
from paft_trainer.merge.shards import Shard
from paft_trainer.storage import ObjectStore


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedFolder:
    """One of the merges and its folder. `held`: sizes of shards that an interrupted merge has left there, by name.
    `replaced`: tensors that come from an adapter as they are."""

    options: MergeOptions
    uri: str
    recipe_digest: str
    state: FolderState
    held: dict[str, int]
    replaced: dict[str, Replacement]

    @property
    def name(self) -> str | None:
        """The candidate's; None for the main one."""
        return self.options.name if isinstance(self.options, MergeCandidate) else None

    def left(self, shards: Sequence[Shard]) -> list[Shard]:
        """Those that are to be written."""
        return [] if self.state is FolderState.FINISHED else [one for one in shards if one.name not in self.held]


def plan_folders(store: ObjectStore, run_spec: RunSpec, merge: MergeRun, inputs: MergeInputs) -> list[PlannedFolder]:
    """Of the main merge and of its candidates. Raises ArtifactMismatch where one cannot be had."""
    return [_plan(store, run_spec, merge, inputs, options) for options in (merge.spec, *merge.spec.candidates)]


def _plan(
    store: ObjectStore, run_spec: RunSpec, merge: MergeRun, inputs: MergeInputs, options: MergeOptions
) -> PlannedFolder:
    uri = merge.spec.output.uri
    if isinstance(options, MergeCandidate):
        uri = candidate_folder(uri, options.name)
    replaced = replacements(options.method, inputs.base.entries, inputs.adapters)
    recipe = make_recipe(run_spec, merge, options, inputs)
    state, held = FolderState.FREE, {}
    if is_claimed(store, uri, recipe):
        is_finished = OutputFolder(store, uri).find_manifest() is not None
        state = FolderState.FINISHED if is_finished else FolderState.BEGUN
        held = {} if is_finished else _held_shards(store, uri, recipe["recipeDigest"])
    return PlannedFolder(
        options=options,
        uri=uri,
        recipe_digest=recipe["recipeDigest"],
        state=state,
        held=held,
        replaced=replaced,
    )


def _held_shards(store: ObjectStore, uri: str, recipe_digest: str) -> dict[str, int]:
    """What their records say, where the files have these sizes."""
    sizes = {info.uri.removeprefix(uri): info.size for info in store.list(uri)}
    records = [json.loads(store.read(uri + name)) for name in sizes if name.startswith(SHARD_RECORD_PREFIX)]
    return {
        record["name"]: record["size"]
        for record in records
        if record["recipeDigest"] == recipe_digest and sizes.get(record["name"]) == record["size"]
    }
