"""What can go from the output of a merge. Pure: from what was listed and read to verdicts.

The files of an unfinished output stay: the same merge goes on with them. Only what no merge takes up again goes.
"""

from collections.abc import Sequence

from paft_api.layout import MERGE_ATTEMPT_PREFIX, SHARD_RECORD_PREFIX
from paft_api.storage_survey import EndedAttempts, ItemKind
from paft_trainer.keeping.contents import OutputContents, PublishedContents
from paft_trainer.keeping.proofs import proof_of_end
from paft_trainer.keeping.verdict import Verdict, split_uploads, upload_verdicts

_FOREIGN = "no claim or marker tells that it is ours"


def judge_output(contents: OutputContents, ended: Sequence[EndedAttempts] = ()) -> list[Verdict]:
    """Verdicts on all that is no part of the result, markers last."""
    verdicts = upload_verdicts(contents.other_uploads, remove=False, why=_FOREIGN)
    why_dead = _why_dead(contents, ended)
    for prefix, folder in contents.folders.items():
        if folder.is_finished:
            verdicts += _judge_finished(prefix, folder)
        else:
            verdicts += _judge_unfinished(contents, prefix, folder, why_dead)
    if contents.is_finished:
        verdicts += _markers(contents)
    return verdicts


def _judge_finished(prefix: str, folder: PublishedContents) -> list[Verdict]:
    ours, others = split_uploads(folder.uploads, folder.is_of_the_result)
    records = [
        Verdict(
            kind=ItemKind.SHARD_RECORD,
            name=prefix + name,
            remove=True,
            why="the merge is finished",
            objects=(prefix + name,),
            size=size,
        )
        for name, size in sorted(folder.sizes.items())
        if name.startswith(SHARD_RECORD_PREFIX)
    ]
    return [
        *upload_verdicts(ours, remove=True, why="the merge is finished", prefix=prefix),
        *upload_verdicts(others, remove=False, why=_FOREIGN, prefix=prefix),
        *records,
    ]


def _judge_unfinished(
    contents: OutputContents, prefix: str, folder: PublishedContents, why_dead: str | None
) -> list[Verdict]:
    writes = {name for one in contents.attempts if one.marker is not None for name in one.marker.writes}
    ours, others = split_uploads(folder.uploads, lambda name: name in writes)
    why = why_dead or "an attempt at this merge is not proven to be over"
    return [
        *upload_verdicts(ours, remove=why_dead is not None, why=why, prefix=prefix),
        *upload_verdicts(others, remove=False, why=_FOREIGN, prefix=prefix),
    ]


def _why_dead(contents: OutputContents, ended: Sequence[EndedAttempts]) -> str | None:
    """An upload does not tell whose it is: all attempts must be over. Every attempt writes its marker before it streams
    anything, and uploads were listed before markers were read."""
    proofs = {one.name: proof_of_end(one, contents.attempts, ended) for one in contents.attempts}
    if not proofs or None in proofs.values():
        return None
    return "all attempts at this merge are over: " + "; ".join(f"{name}: {proof}" for name, proof in proofs.items())


def _markers(contents: OutputContents) -> list[Verdict]:
    main = contents.folders[""]
    return [
        Verdict(
            kind=ItemKind.MARKER,
            name=name,
            remove=True,
            why="the merge is finished",
            objects=(name,),
            attempt=name.removeprefix(MERGE_ATTEMPT_PREFIX).removesuffix(".json"),
            size=size,
        )
        for name, size in sorted(main.sizes.items())
        if name.startswith(MERGE_ATTEMPT_PREFIX)
    ]
