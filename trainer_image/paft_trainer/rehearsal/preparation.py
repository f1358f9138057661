"""Prepare's checks from here: the same ones, over a store to which nothing gets through that would be written."""

from collections.abc import Callable

from paft_api.rehearsal import RehearsedPreparation
from paft_api.report import PrepareResult
from paft_api.run_spec import RunSpec
from paft_trainer.base.index import known_index
from paft_trainer.prepare.findings import Findings, PreparationFailed
from paft_trainer.prepare.output_checks import check_output
from paft_trainer.prepare.preparation import check_arms, prepared
from paft_trainer.rehearsal.discarding_store import DiscardingStore
from paft_trainer.storage import ObjectStore, open_run_store

RIGHTS_NOTE = (
    "Whether storage.artifactsUri and merge.output.uri may be written to, and whether their store knows conditional "
    "writes, was not tried: prepare writes a probe there, and nothing is written here."
)
UNKNOWN_BASE_NOTE = (
    "This base is not indexed under storage.artifactsUri yet: whether its weights are whole was not checked, as all of "
    "them would have to be read, nor whose an output folder is that is claimed already. Prepare does both."
)


def rehearse_preparation(run_spec: RunSpec, *, tell: Callable[[str], None]) -> RehearsedPreparation:
    """All findings. `tell`: takes lines about waiting for the store. Raises ConfigInvalid where this machine lacks
    credentials that a source names."""
    store = DiscardingStore(open_run_store(run_spec, on_wait=tell))
    findings, notes = Findings(), [RIGHTS_NOTE]
    try:
        if not _check(store, findings, run_spec):
            notes.append(UNKNOWN_BASE_NOTE)
        findings.raise_if_any()
    except PreparationFailed as failed:
        return RehearsedPreparation(findings=failed.findings, notes=tuple(notes))
    return RehearsedPreparation(notes=tuple(notes))


def _check(store: ObjectStore, findings: Findings, run_spec: RunSpec) -> bool:
    """False where the base is not known. Raises PreparationFailed where the store does not answer."""
    assert run_spec.prepare is not None
    storage, merge = run_spec.storage, run_spec.prepare.merge
    with findings.of("spec.storage.artifactsUri"):
        # A look at what is there takes the right to list.
        next(iter(store.list(storage.artifacts_uri)), None)
    rows = check_arms(store, findings, run_spec)
    index = None
    with findings.of("spec.base.uri"):
        index = known_index(store, run_spec.base.uri, storage.artifacts_uri)
    result: PrepareResult | None = None
    if index is not None:
        result = prepared(store, findings, run_spec, rows, index)
    with findings.of("spec.merge.output.uri"):
        check_output(store, merge, storage, result, probe=None, chat_template=run_spec.base.chat_template)
    return index is not None
