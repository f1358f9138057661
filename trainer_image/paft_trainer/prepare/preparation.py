"""The course of the prepare stage."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from paft_api.layout import probe_uri, stage_folder
from paft_api.report import Activity, ArmPreparation, FinishedArtifact, PrepareResult
from paft_api.run_spec import RunSpec
from paft_api.spec.arm import ArmSpec
from paft_api.stages import StageName
from paft_trainer.base.cache_checks import HOST_PATH_FIELD, require_usable_cache
from paft_trainer.base.index import index_base
from paft_trainer.base.kept_index import BaseIndex
from paft_trainer.checkpoint_files import find_checkpoint_files
from paft_trainer.data.mixing import Mixture
from paft_trainer.data.rows import digest_sources
from paft_trainer.data.schedule import total_steps
from paft_trainer.keeping.prepare_attempts import marked_prepare_attempt
from paft_trainer.prepare.arm_checks import check_arm, stage_digest
from paft_trainer.prepare.base_model_checks import BaseForChecks, open_base_for_checks
from paft_trainer.prepare.findings import Findings
from paft_trainer.prepare.indexing_progress import IndexingProgress
from paft_trainer.prepare.output_checks import check_output
from paft_trainer.prepare.storage_checks import check_artifact_rights
from paft_trainer.prepare.tracking_checks import check_tracking
from paft_trainer.prepare.whole_module_checks import check_whole_modules
from paft_trainer.published_adapters import find_published_adapter
from paft_trainer.stage_store import open_impatient_store, open_stage_store
from paft_trainer.storage import ObjectStore

if TYPE_CHECKING:
    from paft_trainer.reporting import Reporter


def run(run_spec: RunSpec, reporter: "Reporter") -> PrepareResult:
    """Check everything and work out the digests. Raises PreparationFailed with all findings."""
    assert run_spec.prepare is not None
    reporter.update(activity=Activity.CHECKING)
    store = open_stage_store(run_spec, reporter)
    findings = Findings()
    with ExitStack() as attempt:
        result = _check(store, findings, run_spec, reporter, attempt)
        findings.raise_if_any()
    assert result is not None
    return result


def _check(
    store: ObjectStore, findings: Findings, run_spec: RunSpec, reporter: "Reporter", attempt: ExitStack
) -> PrepareResult | None:
    """All findings. `attempt`: ends with the attempt, whose marker is the first that is written."""
    assert run_spec.prepare is not None
    identity, merge = run_spec.identity, run_spec.prepare.merge
    artifacts_probe, output_probe = (
        probe_uri(folder, identity.job_uid, identity.attempt)
        for folder in (run_spec.storage.artifacts_uri, merge.output.uri)
    )
    writable = False
    with findings.of("spec.storage.artifactsUri"):
        attempt.enter_context(
            marked_prepare_attempt(
                store,
                run_spec.storage.artifacts_uri,
                identity,
                probes=(artifacts_probe, output_probe),
                end_store=partial(open_impatient_store, run_spec),
                in_cluster=run_spec.in_cluster,
            )
        )
        check_artifact_rights(store, run_spec.storage, artifacts_probe)
        writable = True
    with findings.of(HOST_PATH_FIELD):
        require_usable_cache(run_spec)
    check_tracking(findings, run_spec)
    rows = check_arms(store, findings, run_spec)
    # Digests are kept under artifactsUri, so that large files are read once.
    result = _digests(store, findings, run_spec, rows, IndexingProgress(reporter)) if writable else None
    with findings.of("spec.merge.output.uri"):
        template = run_spec.base.chat_template
        check_output(store, merge, run_spec.storage, result, probe=output_probe, chat_template=template)
    return result


def check_arms(store: ObjectStore, findings: Findings, run_spec: RunSpec) -> dict[StageName, Mixture | None]:
    """Check the base and both arms; the training rows of each, None where they could not be read."""
    assert run_spec.prepare is not None
    base = _open_base(store, findings, run_spec)
    if base is not None:
        with findings.of("spec.preference.lora.modulesToSave"):
            check_whole_modules(run_spec.prepare, base.modules)
    return {stage: check_arm(store, findings, stage, arm, base) for stage, arm in run_spec.prepare.arms.items()}


def _open_base(store: ObjectStore, findings: Findings, run_spec: RunSpec) -> BaseForChecks | None:
    with (
        findings.of("spec.base.uri"),
        tempfile.TemporaryDirectory(dir=run_spec.scratch_directory) as folder,
    ):
        files = find_checkpoint_files(store, run_spec.base.uri)
        return open_base_for_checks(store, run_spec.base, files, Path(folder))
    return None


def _digests(
    store: ObjectStore,
    findings: Findings,
    run_spec: RunSpec,
    rows: Mapping[StageName, Mixture | None],
    progress: IndexingProgress,
) -> PrepareResult | None:
    """The base's index, which is made where there is none, and what follows from it; None where something could not be
    read."""
    index: BaseIndex | None = None
    with findings.of("spec.base.uri"):
        index = index_base(
            store,
            run_spec.base.uri,
            run_spec.storage.artifacts_uri,
            on_bytes=progress.advance,
            on_size=progress.begin,
        )
        progress.end()
    return None if index is None else prepared(store, findings, run_spec, rows, index)


def prepared(
    store: ObjectStore,
    findings: Findings,
    run_spec: RunSpec,
    rows: Mapping[StageName, Mixture | None],
    index: BaseIndex,
) -> PrepareResult | None:
    """What is known of the work once everything could be read; None where something could not."""
    assert run_spec.prepare is not None
    arms: dict[StageName, ArmPreparation | None] = {}
    for stage, arm in run_spec.prepare.arms.items():
        count = rows[stage]
        if count is None:
            return None
        arms[stage] = _prepare_arm(store, findings, stage, run_spec, arm, count, index)
    sft, preference = arms[StageName.SFT], arms[StageName.PREFERENCE]
    if sft is None or preference is None:
        return None
    return PrepareResult(base_digest=index.digest, sft=sft, preference=preference)


def _prepare_arm(
    store: ObjectStore,
    findings: Findings,
    stage: StageName,
    run_spec: RunSpec,
    arm: ArmSpec,
    rows: Mixture,
    index: BaseIndex,
) -> ArmPreparation | None:
    artifacts_uri = run_spec.storage.artifacts_uri
    with findings.of(f"spec.{stage}.data.train"):
        data = digest_sources(store, arm.data.train, artifacts_uri)
        evaluation: str | None = None
        if arm.training.evaluations_decide:
            with findings.of(f"spec.{stage}.data.eval"):
                evaluation = digest_sources(store, arm.data.eval, artifacts_uri)
            if evaluation is None:
                return None
        digest = stage_digest(run_spec, stage, base_digest=index.digest, data=data, evaluation=evaluation)
        finished: FinishedArtifact | None = None
        with findings.of("spec.storage.artifactsUri"):
            published = find_published_adapter(store, stage_folder(artifacts_uri, stage, digest))
            finished = published.artifact if published is not None else None
        return ArmPreparation(
            data_digest=data,
            stage_digest=digest,
            rows=rows.rows,
            total_steps=total_steps(arm.training, rows.epoch_rows),
            finished=finished,
        )
    return None
