"""The course of the prepare stage."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from paft_api.layout import stage_folder
from paft_api.report import Activity, ArmPreparation, FinishedArtifact, PrepareResult
from paft_api.run_spec import RunSpec
from paft_api.spec.arm import ArmSpec
from paft_api.stages import StageName
from paft_trainer.base_index import BaseIndex, index_base
from paft_trainer.data.schedule import total_steps
from paft_trainer.prepare.arm_checks import ArmData, check_arm, stage_digest
from paft_trainer.prepare.base_model_checks import BaseForChecks, open_base_for_checks
from paft_trainer.prepare.findings import Findings
from paft_trainer.prepare.output_checks import check_output
from paft_trainer.prepare.storage_checks import check_artifact_rights
from paft_trainer.published_adapters import find_published_adapter
from paft_trainer.storage import ObjectStore, open_store

if TYPE_CHECKING:
    from paft_trainer.reporting import Reporter


def run(run_spec: RunSpec, reporter: "Reporter") -> PrepareResult:
    """Check everything and work out the digests. Raises PreparationFailed with all findings."""
    assert run_spec.prepare is not None
    reporter.update(activity=Activity.CHECKING)
    store = open_store(run_spec.storage, on_wait=lambda message: print(message, flush=True))
    findings = Findings()
    with findings.of("spec.storage.artifactsUri"):
        check_artifact_rights(store, run_spec.storage)
    index: BaseIndex | None = None
    with findings.of("spec.base.uri"):
        index = index_base(store, run_spec.base.uri, run_spec.storage.artifacts_uri)
    with tempfile.TemporaryDirectory(dir=run_spec.scratch_directory) as folder:
        base: BaseForChecks | None = None
        if index is not None:
            with findings.of("spec.base.uri"):
                base = open_base_for_checks(store, run_spec.base, index, Path(folder))
        sft = check_arm(store, findings, StageName.SFT, run_spec.prepare.sft, run_spec, base)
        preference = check_arm(store, findings, StageName.PREFERENCE, run_spec.prepare.preference, run_spec, base)
    if index is None or sft is None or preference is None:
        findings.raise_if_any()
    assert index is not None
    assert sft is not None
    assert preference is not None
    result = PrepareResult(
        base_digest=index.digest,
        sft=_prepared(store, findings, StageName.SFT, run_spec, run_spec.prepare.sft, sft, index),
        preference=_prepared(
            store, findings, StageName.PREFERENCE, run_spec, run_spec.prepare.preference, preference, index
        ),
    )
    with findings.of("spec.merge.output.uri"):
        check_output(store, run_spec.prepare.merge, run_spec.storage, result, chat_template=run_spec.base.chat_template)
    findings.raise_if_any()
    return result


def _prepared(
    store: ObjectStore,
    findings: Findings,
    stage: StageName,
    run_spec: RunSpec,
    arm: ArmSpec,
    data: ArmData,
    index: BaseIndex,
) -> ArmPreparation:
    digest = stage_digest(run_spec, stage, base_digest=index.digest, data=data.digest)
    finished: FinishedArtifact | None = None
    with findings.of("spec.storage.artifactsUri"):
        published = find_published_adapter(store, stage_folder(run_spec.storage.artifacts_uri, stage, digest))
        finished = published.artifact if published is not None else None
    return ArmPreparation(
        data_digest=data.digest,
        stage_digest=digest,
        rows=data.rows,
        total_steps=total_steps(arm.training, data.rows),
        finished=finished,
    )
