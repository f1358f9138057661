"""The recipe of a merge: what it is made from and how. It is the claim on the output folder, and part of its manifest.

Two merges of one recipe write the same bytes. Its digest covers contents and options; the addresses beside it only tell
people where things lay, and those of whoever claimed first are used by all who continue.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from paft_api.digests import recipe_digest
from paft_api.layout import ADAPTER_MANIFEST_FILE, MERGE_MANIFEST_FILE
from paft_api.report import AdapterMetrics
from paft_api.run_spec import MergeRun, RunSpec
from paft_api.spec.data import DataSpec
from paft_api.spec.merge import MergeOptions, MergeOutput
from paft_trainer.adapters import Adapter
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.merge.inputs import MergeInputs
from paft_trainer.publishing import claim_folder, find_claim
from paft_trainer.storage import ObjectStore

FORMAT_VERSION = 1


def make_recipe(run_spec: RunSpec, merge: MergeRun, options: MergeOptions, inputs: MergeInputs) -> dict[str, Any]:
    """The recipe of one merge, the job's or a candidate's, as a JSON document.

    A base whose content nobody has read is known by its listing. Raises ArtifactMismatch where an adapter's manifest is
    broken.
    """
    identity = {"digest": inputs.base_digest} if inputs.base_digest else {"listingDigest": inputs.listing_digest}
    return {
        "formatVersion": FORMAT_VERSION,
        "recipeDigest": _digest(run_spec, merge, options, inputs, inputs.base_digest or inputs.listing_digest),
        "base": {"uri": run_spec.base.uri} | identity,
        "adapters": {name: _describe(adapter) for name, adapter in inputs.adapters.items()},
        "merge": _options(options, merge.spec.output),
    }


def with_base_digest(
    recipe: Mapping[str, Any],
    run_spec: RunSpec,
    merge: MergeRun,
    options: MergeOptions,
    inputs: MergeInputs,
    base_digest: str,
) -> dict[str, Any]:
    """The recipe that was claimed, now that the base's content is known."""
    base = {"uri": recipe["base"]["uri"], "digest": base_digest}
    return dict(recipe) | {"recipeDigest": _digest(run_spec, merge, options, inputs, base_digest), "base": base}


def _digest(run_spec: RunSpec, merge: MergeRun, options: MergeOptions, inputs: MergeInputs, base: str) -> str:
    return recipe_digest(
        options,
        merge.spec.output,
        base_digest=base,
        sft_adapter=inputs.adapters["sft"].digest,
        preference_adapter=inputs.adapters["preference"].digest,
        chat_template=run_spec.base.chat_template,
    )


def claim_output(store: ObjectStore, run_spec: RunSpec, folder: str, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Claim the output folder; returns the claim that holds, which has our digest.

    Raises ArtifactMismatch, with nothing written, where the folder belongs to another recipe or to nobody of ours.
    """
    held = claim_folder(
        store,
        folder,
        recipe,
        manifest_name=MERGE_MANIFEST_FILE,
        allow_unconditional=run_spec.storage.allow_unconditional_publish,
    )
    _require_ours(folder, held, recipe)
    return held


def is_claimed(store: ObjectStore, folder: str, recipe: Mapping[str, Any]) -> bool:
    """Whether the output folder is claimed for this recipe already; writes nothing. Raises as claim_output does."""
    held = find_claim(store, folder, manifest_name=MERGE_MANIFEST_FILE)
    if held is not None:
        _require_ours(folder, held, recipe)
    return held is not None


def _require_ours(folder: str, held: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
    if held.get("recipeDigest") != recipe["recipeDigest"]:
        raise ArtifactMismatch(
            f"{folder} belongs to another recipe: {_in_words(held)}; this one is {_in_words(recipe)}",
            remedy="Choose another merge.output.uri, or delete that folder if nobody needs it.",
        )


def _options(options: MergeOptions, output: MergeOutput) -> dict[str, Any]:
    document = options.resolved() | {"form": output.form, "maxShardSize": output.max_shard_size}
    return document | ({"rank": output.rank} if output.form == "Adapter" else {})


def _describe(adapter: Adapter) -> dict[str, Any]:
    described: dict[str, Any] = {"uri": adapter.uri, "digest": adapter.digest}
    if adapter.manifest is not None and {"spec", "metrics"} <= adapter.manifest.keys():
        described["training"] = _training(adapter.uri, adapter.manifest)
    return described


def _training(folder: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    try:
        data = DataSpec.model_validate_json(json.dumps(manifest["spec"]["data"]))
        metrics = AdapterMetrics.model_validate_json(json.dumps(manifest["metrics"]))
    except (ValidationError, KeyError, TypeError) as error:
        raise ArtifactMismatch(
            f"{folder}{ADAPTER_MANIFEST_FILE} does not tell how the adapter was trained",
            remedy="Train the adapter again, or remove the manifest to merge it as a foreign one.",
        ) from error
    training: dict[str, Any] = {
        "data": [source.to_document() for source in data.train],
        "steps": metrics.steps,
    }
    if metrics.sparsity is not None:
        training["sparsity"] = metrics.sparsity.to_document()
    return training


def _in_words(recipe: Mapping[str, Any]) -> str:
    match recipe:
        case {
            "recipeDigest": digest,
            "merge": {"method": method},
            "adapters": {"sft": {"uri": sft}, "preference": {"uri": preference}},
        }:
            return f"{method} of {sft} and {preference} ({digest})"
        case _:
            return f"one that is no merge ({sorted(recipe)})"
