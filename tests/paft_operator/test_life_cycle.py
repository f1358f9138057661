"""The operator against a real API server; only the kubelet is played."""

import re

import pytest
from hack.control_plane.client import CONFIG_MAP, JOB, KubernetesClient
from tests.kubelet_stand_in import KubeletStandIn
from tests.paft_operator.cluster_jobs import ClusterJobs, condition, minimal_job, stage, wait_until
from tests.paft_operator.operator_processes import OperatorProcess
from tests.paft_operator.played_stages import failing_stage
from tests.paft_operator.played_stages import stage as play

from paft_api.causes import Cause

pytestmark = pytest.mark.slow


def test_a_job_succeeds(operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn) -> None:
    kubelet.play(play(), {})

    jobs.create(minimal_job())
    job = jobs.wait_for_phase("Succeeded")

    attempts = [f"tiny-{name}-1" for name in ("merge", "preference", "prepare", "sft")]
    assert jobs.children() == sorted(
        [
            *(f"{kind} {name}" for name in attempts for kind in ("Job", "ServiceAccount", "Role", "RoleBinding")),
            *(f"ConfigMap {name}{end}" for name in attempts for end in ("", "-report")),
            *(f"Service tiny-{arm}" for arm in ("sft", "preference")),
        ]
    )
    assert {one["name"]: one["state"] for one in job["status"]["stages"]} == dict.fromkeys(
        ("prepare", "sft", "preference", "merge"), "Succeeded"
    )
    assert condition(job, "Succeeded")["message"] == "Published s3://models/tiny-paft/."
    assert condition(job, "Reconciling")["status"] == "False"
    reasons = [reason for _, reason, _ in jobs.events()]
    stages = ("Prepare", "Sft", "Preference", "Merge")
    told = [f"{name}{what}" for name in stages for what in ("Started", "Succeeded")]
    assert sorted(reasons) == sorted([*told, "JobSucceeded"])


def test_nothing_is_added_to_objects_of_users(
    operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn
) -> None:
    kubelet.play(play(), {})

    created = jobs.create(minimal_job())
    job = jobs.wait_for_phase("Succeeded")

    left_alone = ("annotations", "finalizers", "labels", "ownerReferences", "generation")
    assert {name: job["metadata"].get(name) for name in left_alone} == {
        name: created["metadata"].get(name) for name in left_alone
    }
    assert job["spec"] == created["spec"]
    managers = {one["manager"]: one.get("subresource") for one in job["metadata"]["managedFields"]}
    assert managers["paft-operator"] == "status"


def test_a_failed_arm_is_retried_alone(operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn) -> None:
    kubelet.play(failing_stage(Cause.HOST_OOM, step=4), {"paft.dev/stage": "sft", "paft.dev/attempt": "1"})
    kubelet.play(play(), {})

    jobs.create(minimal_job())
    waiting = jobs.wait(lambda status: stage(status, "sft").get("failures") == 1)
    job = jobs.wait_for_phase("Succeeded")

    assert re.search(r"pod tiny-sft-1-\S+ on node node-0 ended with exit code 65: as scripted", _told(waiting))
    assert {one["name"]: one["attempt"] for one in job["status"]["stages"]} == {
        "prepare": 1,
        "sft": 2,
        "preference": 1,
        "merge": 1,
    }
    assert any(type_ == "Warning" and reason == "SftFailed" for type_, reason, _ in jobs.events())


def _told(job: dict[str, object]) -> str:
    return str(stage(job, "sft")["message"])


def test_a_permanent_failure_fails_the_job_and_stops_the_other_arm(
    operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn
) -> None:
    kubelet.play(failing_stage(Cause.DIVERGED, seconds=0.5), {"paft.dev/stage": "preference"})
    kubelet.play(play(60), {"paft.dev/stage": "sft"})
    kubelet.play(play(), {})

    jobs.create(minimal_job())
    jobs.wait_for_phase("Failed")
    job = jobs.wait(lambda status: stage(status, "sft")["state"] == "Stopped")

    assert condition(job, "Failed")["reason"] == "Diverged"
    assert condition(job, "Stalled")["status"] == "True"
    assert jobs.children(JOB) == ["Job tiny-preference-1", "Job tiny-prepare-1"]


def test_suspend_saves_and_resume_goes_on(
    operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn
) -> None:
    kubelet.play(play(60), {"paft.dev/stage": "sft", "paft.dev/attempt": "1"})
    kubelet.play(play(), {})

    jobs.create(minimal_job())
    jobs.wait(lambda status: stage(status, "sft").get("step") == 4)
    jobs.wait(lambda status: stage(status, "preference")["state"] == "Succeeded")
    jobs.change({"spec": {"runPolicy": {"suspend": True}}})
    jobs.wait_for_phase("Suspended")
    wait_until(lambda: jobs.children(JOB) == ["Job tiny-preference-1", "Job tiny-prepare-1"])

    jobs.change({"spec": {"runPolicy": {"suspend": False}}})
    job = jobs.wait_for_phase("Succeeded")

    assert (stage(job, "sft")["attempt"], stage(job, "sft")["failures"]) == (2, 0)


def test_children_go_after_their_time_and_the_job_stays(
    operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn, kubernetes: KubernetesClient
) -> None:
    kubelet.play(play(), {})

    jobs.create(minimal_job(ttlSecondsAfterFinished=1))
    jobs.wait_for_phase("Succeeded")

    wait_until(lambda: jobs.children() == [])
    assert jobs.get()["status"]["phase"] == "Succeeded"


def test_a_deleted_job_takes_everything_with_it(
    operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn
) -> None:
    kubelet.play(play(60), {"paft.dev/stage": "sft"})
    kubelet.play(play(), {})
    jobs.create(minimal_job())
    jobs.wait(lambda status: stage(status, "sft").get("step") == 4)

    jobs.delete()

    wait_until(lambda: jobs.children() == [] and jobs.pods() == [])
    assert [line for line in operator.log if line["level"] == "error"] == []


def test_a_report_that_is_none_is_ignored_and_told(
    operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn, kubernetes: KubernetesClient
) -> None:
    kubelet.play(play(60), {"paft.dev/stage": "sft"})
    kubelet.play(play(), {})
    jobs.create(minimal_job())
    jobs.wait(lambda status: stage(status, "sft").get("step") == 4)

    kubernetes.patch(CONFIG_MAP, "tiny-sft-1-report", jobs.namespace, {"data": {"report.json": "{nonsense"}})
    wait_until(lambda: "ReportIgnored" in [reason for _, reason, _ in jobs.events()])

    assert stage(jobs.get(), "sft")["state"] == "Running"
