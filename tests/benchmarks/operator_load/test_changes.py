"""The benchmark's PaftJobs are what the operator itself makes, and what changes is what a cluster changes."""

import itertools
import json
from datetime import UTC, datetime

import pytest
from benchmarks.operator_load.changes import (
    CHANGES_OF_ENDING,
    TOTAL_STEPS,
    ChangeKind,
    Expected,
    ending,
    is_unfinished,
    progressing,
    transitions_between,
)
from benchmarks.operator_load.training_jobs import TrainingJob, in_training, paft_job_manifest, pod_manifest

from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_api.status import Phase, StageState
from paft_operator.cluster.resources import CONFIG_MAPS, JOBS
from paft_operator.observing.parsing import pod_record

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def new_job() -> PaftJob:
    manifest = paft_job_manifest("default", 7)
    manifest["metadata"] |= {"uid": "u7", "generation": 1}
    return PaftJob.model_validate_json(json.dumps(manifest))


@pytest.fixture(scope="module")
def training() -> TrainingJob:
    return in_training(new_job(), NOW)


@pytest.fixture(scope="module")
def job(training: TrainingJob) -> PaftJob:
    return new_job().model_copy(update={"status": training.status})


def test_both_arms_run_and_every_attempt_has_what_the_operator_watches(training: TrainingJob) -> None:
    assert training.status.phase is Phase.TRAINING
    assert [(one.stage, [resource for resource, _ in one.objects]) for one in training.attempts] == [
        (stage, [CONFIG_MAPS, CONFIG_MAPS, JOBS]) for stage in (StageName.PREPARE, StageName.SFT, StageName.PREFERENCE)
    ]


def test_the_operator_takes_the_pod_for_one_of_the_arms(training: TrainingJob) -> None:
    _, arm_job = training.attempts[1].objects[-1]
    arm_job["metadata"]["uid"] = "of-the-job"
    server = {"uid": "of-the-pod", "resourceVersion": "3", "creationTimestamp": "2026-01-01T00:00:00Z"}
    pod = pod_manifest(arm_job)
    record = pod_record(pod | {"metadata": pod["metadata"] | server})

    assert record is not None
    assert (record.owner_uid, record.job_name, record.stage) == ("of-the-job", "job-00007", StageName.SFT)


def test_progress_alternates_between_the_arms_and_goes_on_from_what_is_known(job: PaftJob) -> None:
    assert job.status is not None
    stages = tuple(
        one.model_copy(update={"step": 5}) if one.name is StageName.SFT else one for one in job.status.stages
    )
    later = job.model_copy(update={"status": job.status.model_copy(update={"stages": stages})})
    changes = list(itertools.islice(progressing(later), 3))

    assert [(one.stage, one.report.progress.step if one.report is not None else None) for one in changes] == [
        (StageName.SFT, 6),
        (StageName.PREFERENCE, 6),
        (StageName.SFT, 7),
    ]
    assert [one.expected for one in changes] == [
        Expected(stage=StageName.SFT, step=6),
        Expected(stage=StageName.PREFERENCE, step=6),
        Expected(stage=StageName.SFT, step=7),
    ]


def test_jobs_of_which_an_arm_has_ended_or_soon_will_are_left_alone(job: PaftJob) -> None:
    assert job.status is not None

    def changed(**fields: object) -> PaftJob:
        stages = [one.model_copy(update=fields) if one.name is StageName.SFT else one for one in job.status.stages]
        return job.model_copy(update={"status": job.status.model_copy(update={"stages": tuple(stages)})})

    assert is_unfinished(job)
    assert is_unfinished(changed(step=TOTAL_STEPS - 1))
    assert not is_unfinished(changed(step=TOTAL_STEPS))
    assert not is_unfinished(changed(state=StageState.SUCCEEDED))
    assert not is_unfinished(new_job())


def test_a_stage_ends_with_its_report_its_pod_and_its_job(job: PaftJob) -> None:
    changes = list(ending(job))

    report, pod, job_ = ChangeKind.REPORT, ChangeKind.POD, ChangeKind.JOB
    assert len(changes) == CHANGES_OF_ENDING
    assert [(one.stage, one.kind) for one in changes] == [
        *((StageName.SFT, kind) for kind in (report, pod, job_)),
        *((StageName.PREFERENCE, kind) for kind in (report, pod, job_)),
        *((StageName.MERGE, kind) for kind in (report, job_)),
    ]
    told = [one.report for one in changes if one.report is not None]
    assert all(report.has_result for report in told)
    assert [report.progress.step for report in told] == [TOTAL_STEPS] * 3


@pytest.mark.parametrize(
    ("entry", "is_met"),
    [
        ({"name": "sft", "state": "Running", "step": 4}, False),
        ({"name": "sft", "state": "Running", "step": 5}, True),
        ({"name": "sft", "state": "Running"}, False),
        ({"name": "sft", "state": "Succeeded"}, True),
        ({"name": "preference", "state": "Running", "step": 5}, False),
    ],
)
def test_progress_shows_once_the_step_does(entry: dict[str, object], is_met: bool) -> None:
    assert Expected(stage=StageName.SFT, step=5).is_met({"stages": [entry]}) is is_met


def test_an_end_shows_only_as_success() -> None:
    running = {"stages": [{"name": "merge", "state": "Running", "step": 10**6}]}

    assert not Expected(stage=StageName.MERGE).is_met(running)
    assert Expected(stage=StageName.MERGE).is_met({"stages": [{"name": "merge", "state": "Succeeded"}]})


def test_transitions_are_changed_stages_and_the_end_and_nothing_else() -> None:
    before = {
        "stages": [{"name": "preference", "state": "Running", "step": 1}],
        "conditions": [{"type": "Merged", "status": "False"}],
    }
    merging = {
        "stages": [{"name": "preference", "state": "Succeeded"}, {"name": "merge", "state": "Running"}],
        "conditions": [{"type": "Merged", "status": "False"}],
    }
    done = {
        "stages": [{"name": "preference", "state": "Succeeded"}, {"name": "merge", "state": "Succeeded"}],
        "conditions": [{"type": "Merged", "status": "True"}, {"type": "Succeeded", "status": "True"}],
    }

    assert transitions_between(before, before | {"eta": "1h"}) == 0
    assert transitions_between(before, merging) == 2
    assert transitions_between(merging, done) == 2
