"""The output folder and those of candidates in it: free, or written by the very recipes that this job would write."""

from paft_api.digests import recipe_digest
from paft_api.layout import CLAIM_FILE, candidate_folder
from paft_api.report import PrepareResult
from paft_api.spec.merge import MergeOptions, MergeSpec
from paft_api.spec.storage import StorageSpec
from paft_trainer.errors import ArtifactMismatch, ConfigInvalid
from paft_trainer.publishing import first_foreign_object, read_claim, supports_conditional_put
from paft_trainer.storage import ObjectStore


def check_output(
    store: ObjectStore,
    merge: MergeSpec,
    storage: StorageSpec,
    prepared: PrepareResult | None,
    *,
    probe: str | None,
    chat_template: str | None = None,
) -> None:
    """Raises ArtifactMismatch for a folder that is somebody else's, StorageAuth where it cannot be written.

    `probe`: where rights are tried out, None where nothing may be written. Whose a claimed folder is cannot be told
    without `prepared`: then it is let pass. Candidates lie in the output's folder, so that they are looked at where
    that is claimed.
    """
    folder = merge.output.uri
    if store.head(folder + CLAIM_FILE) is not None:
        if prepared is not None:
            _check_claim(store, folder, _recipe(merge, merge, prepared, chat_template))
            for candidate in merge.candidates:
                _check_candidate(
                    store, candidate_folder(folder, candidate.name), _recipe(candidate, merge, prepared, chat_template)
                )
        return
    _require_free(store, folder)
    if probe is None or supports_conditional_put(store, probe):
        return
    if not storage.allow_unconditional_publish:
        raise ConfigInvalid(
            f"{folder}: this object store ignores conditional writes (If-None-Match)",
            remedy="Use a store with conditional writes, or set storage.allowUnconditionalPublish: true and take care.",
        )


def _recipe(options: MergeOptions, merge: MergeSpec, prepared: PrepareResult, chat_template: str | None) -> str | None:
    """The recipe digest of one merge, None before both arms are trained."""
    sft, preference = prepared.sft.finished, prepared.preference.finished
    if sft is None or preference is None:
        return None
    return recipe_digest(
        options,
        merge.output,
        base_digest=prepared.base_digest,
        sft_adapter=sft.digest,
        preference_adapter=preference.digest,
        chat_template=chat_template,
    )


def _check_candidate(store: ObjectStore, folder: str, ours: str | None) -> None:
    if store.head(folder + CLAIM_FILE) is not None:
        _check_claim(store, folder, ours)
    else:
        _require_free(store, folder)


def _check_claim(store: ObjectStore, folder: str, ours: str | None) -> None:
    held = read_claim(store, folder).get("recipeDigest")
    if ours is None or held != ours:
        raise ArtifactMismatch(
            f"{folder} was written by another recipe ({held}); outputs are written once and never changed",
            remedy="Choose another merge.output.uri, or delete this folder if nobody needs it.",
        )


def _require_free(store: ObjectStore, folder: str) -> None:
    found = first_foreign_object(store, folder)
    if found is not None:
        raise ArtifactMismatch(
            f"{folder} is not empty and was not written by PAFT: it holds {found}",
            remedy="Choose another merge.output.uri, or empty this folder yourself.",
        )
