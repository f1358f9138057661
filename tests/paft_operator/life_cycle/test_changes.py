"""Changes of the spec while a PaftJob runs: refused where they would invalidate work, and in effect where not."""

import pytest
from hack.control_plane.client import JOB
from kubernetes.client.exceptions import ApiException
from tests.paft_operator.cluster_jobs import condition, stage
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.played_stages import failing_stage
from tests.paft_operator.played_stages import stage as play

from paft_api.causes import Cause

pytestmark = pytest.mark.slow

FROZEN = {
    "base": {"base": {"uri": "s3://models/other/"}},
    "storage": {"storage": {"artifactsUri": "s3://paft/other/"}},
    "sft": {"sft": {"training": {"learningRate": 0.5}}},
    "preference": {"preference": {"lora": {"r": 4}}},
}


@pytest.mark.parametrize("block", FROZEN)
def test_what_the_work_depends_on_cannot_change_once_it_has_started(place: Place, block: str) -> None:
    place.play(play(600), "sft")
    place.play(play(600), "preference")
    place.create()
    place.wait_for_progress("sft")
    place.wait_for_progress("preference")

    with pytest.raises(ApiException, match="cannot change once") as refusal:
        place.change(FROZEN[block])

    assert refusal.value.status == 422
    assert f"spec.{block}" in str(refusal.value.body)
    assert place.get()["metadata"]["generation"] == 1


def test_everything_can_change_before_the_work_has_started(place: Place) -> None:
    place.play(play(600), "prepare", 1)
    place.create()
    place.wait_for_progress("prepare")
    place.change(FROZEN["base"])
    job = place.wait_for_phase("Succeeded")

    assert stage(job, "prepare")["attempt"] == 2
    assert stage(job, "prepare")["failures"] == 0


def test_resources_take_effect_with_the_next_attempt_and_what_runs_goes_on(place: Place) -> None:
    place.play(play(600), "sft", 1)
    place.create()
    place.wait_for_progress("sft")
    uid = place.job_of("sft")["metadata"]["uid"]

    place.change({"sft": {"resources": {"memory": "96Gi"}}})
    place.wait_for_stage("prepare", "Succeeded", attempt=2)
    place.wait(lambda status: status["observedGeneration"] == 2 and status["phase"] == "Training")
    assert place.job_of("sft")["metadata"]["uid"] == uid
    assert "deletionTimestamp" not in place.job_of("sft")["metadata"]

    place.kubernetes.delete(JOB, place.name_of("sft"), place.namespace, propagation="Foreground")
    place.wait_for_phase("Succeeded")
    memory = [_memory(place, attempt) for attempt in (2,)]
    assert memory == ["96Gi"]


def test_a_merge_that_is_published_cannot_change(place: Place) -> None:
    place.create()
    place.wait_for_phase("Succeeded")
    with pytest.raises(ApiException, match="cannot change once"):
        place.change({"merge": {"density": 0.25}})


def test_a_job_that_failed_for_its_resources_begins_anew_with_others(place: Place) -> None:
    place.play(failing_stage(Cause.CUDA_OOM), "sft", 1)
    place.create()
    failed = place.wait_for_phase("Failed")
    place.change({"sft": {"training": {"microBatchSize": 1}, "resources": {"memory": "96Gi"}}})
    job = place.wait_for_phase("Succeeded")

    assert stage(failed, "sft")["cause"] == "CudaOOM"
    assert condition(job, "Failed") == {}
    assert _memory(place, 2) == "96Gi"


def _memory(place: Place, attempt: int) -> str:
    container = place.job_of("sft", attempt)["spec"]["template"]["spec"]["containers"][0]
    return str(container["resources"]["limits"]["memory"])
