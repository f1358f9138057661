"""Removes what verdicts let go. Each folder is read and judged again right before: a result, or another attempt, may
have appeared. Whatever is cut short is continued by the next clean-up, which finds the same proofs."""

from collections.abc import Iterable

from paft_api.storage_survey import CleanUp, StorageItem, SurveyRequest
from paft_trainer.keeping.survey import judge_again, judge_folders, judge_index
from paft_trainer.keeping.verdict import Verdict
from paft_trainer.storage import ObjectStore


def clean(store: ObjectStore, request: SurveyRequest) -> CleanUp:
    """Remove what can go. Raises errors of the store."""
    removed: list[StorageItem] = []
    kept: list[StorageItem] = []
    folders = judge_folders(store, request)
    for folder in folders:
        proposed = {verdict.key for verdict in folder.verdicts if verdict.remove}
        current = judge_again(store, folder, request.ended) if proposed else folder
        going = [verdict for verdict in current.verdicts if verdict.remove and verdict.key in proposed]
        remove(store, folder.root, going)
        removed += [verdict.to_item(folder.root) for verdict in going]
        kept += [verdict.to_item(folder.root) for verdict in current.verdicts if not verdict.remove]
    index = judge_index(store, request, folders)
    going = [verdict for verdict in index.verdicts if verdict.remove]
    remove(store, index.uri, going)
    removed += [verdict.to_item(index.uri) for verdict in going]
    kept += [verdict.to_item(index.uri) for verdict in index.verdicts if not verdict.remove]
    return CleanUp(removed=tuple(removed), kept=tuple(kept), bytes=sum(item.bytes or 0 for item in removed))


def remove(store: ObjectStore, folder: str, verdicts: Iterable[Verdict]) -> None:
    """Remove single things of a folder, in their order. Raises errors of the store."""
    for verdict in verdicts:
        if verdict.upload is not None:
            store.abort_upload(verdict.upload)
        for name in verdict.objects:
            store.delete(folder + name)
