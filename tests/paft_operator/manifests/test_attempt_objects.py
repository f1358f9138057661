"""What holds of an attempt's objects whatever the job."""

import json
from typing import Any

import pytest
from tests.paft_api.complete_job import complete_document
from tests.paft_operator.manifests.golden import SETTINGS, job_of, start_of

from paft_api.run_spec import NodeCache, RunSpec
from paft_api.spec import PaftJob
from paft_api.stage_pods import SECRET_KEYS, TRACKER_SECRET_KEYS
from paft_api.stages import ARMS, StageName
from paft_operator.manifests.attempt_objects import attempt_objects
from paft_operator.manifests.names import MAXIMUM_ATTEMPT
from paft_operator.manifests.settings import Manifest

COMMON = ["ConfigMap", "ConfigMap", "ServiceAccount", "Role", "RoleBinding", "Job"]


@pytest.mark.parametrize(
    ("stage", "kinds"),
    [
        (StageName.PREPARE, COMMON),
        (StageName.SFT, ["ConfigMap", "Service", *COMMON[1:]]),
        (StageName.PREFERENCE, ["ConfigMap", "Service", *COMMON[1:]]),
        (StageName.MERGE, COMMON),
    ],
)
def test_the_run_spec_comes_first_and_the_job_last(stage: StageName, kinds: list[str]) -> None:
    objects = attempt_objects(job_of("defaults"), start_of(stage, 1), SETTINGS)

    assert [manifest["kind"] for manifest in objects] == kinds


def test_an_account_of_the_user_s_is_bound_and_not_made() -> None:
    objects = attempt_objects(job_of("own_service_account"), start_of(StageName.SFT, 1), SETTINGS)

    assert "ServiceAccount" not in [manifest["kind"] for manifest in objects]
    assert _only(objects, "RoleBinding")["subjects"] == [
        {"kind": "ServiceAccount", "name": "trainer", "namespace": "team-a"}
    ]


@pytest.mark.parametrize("stage", StageName)
def test_the_same_attempt_gives_the_same_objects(stage: StageName) -> None:
    job, start = job_of("defaults"), start_of(stage, 1)

    assert attempt_objects(job, start, SETTINGS) == attempt_objects(job, start, SETTINGS)


@pytest.mark.parametrize("stage", StageName)
def test_names_fit_at_their_longest(stage: StageName) -> None:
    job = _with_nodes(job_of("third_attempt_of_a_long_name"), 1024)
    objects = attempt_objects(job, start_of(stage, MAXIMUM_ATTEMPT), SETTINGS)

    job_name = _only(objects, "Job")["metadata"]["name"]
    host_names = [f"{job_name}-{index}" for index in (0, 1023)]
    names = [manifest["metadata"]["name"] for manifest in objects] + host_names
    assert max(len(name) for name in names) <= 63
    labels = [value for manifest in objects for value in manifest["metadata"]["labels"].values()]
    assert max(len(value) for value in labels) <= 63


@pytest.mark.parametrize("stage", ARMS)
def test_pods_of_other_attempts_and_of_an_earlier_job_are_told_apart(stage: StageName) -> None:
    first = attempt_objects(job_of("defaults"), start_of(stage, 1), SETTINGS)
    second = attempt_objects(job_of("defaults"), start_of(stage, 2), SETTINGS)
    again = attempt_objects(_with_uid(job_of("defaults"), "another"), start_of(stage, 1), SETTINGS)

    assert _only(first, "Job")["metadata"]["name"] != _only(second, "Job")["metadata"]["name"]
    assert _only(first, "Service") == _only(second, "Service")
    for objects, chosen in ((first, True), (second, True), (again, False)):
        selector = _only(first, "Service")["spec"]["selector"].items()
        labels = _only(objects, "Job")["spec"]["template"]["metadata"]["labels"].items()
        assert (selector <= labels) is chosen


@pytest.mark.parametrize("stage", StageName)
def test_pods_are_told_where_their_things_are(stage: StageName) -> None:
    objects = attempt_objects(
        PaftJob.model_validate_json(json.dumps(complete_document())), start_of(stage, 1), SETTINGS
    )
    pod = _pod_template(objects[-1])["spec"]
    container = pod["containers"][0]
    run_spec_map, report_map = [manifest for manifest in objects if manifest["kind"] == "ConfigMap"]

    told = RunSpec.model_validate_json(run_spec_map["data"]["run_spec.json"])
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert told.report_config_map is not None
    assert told.report_config_map.name == report_map["metadata"]["name"]
    assert mounts[told.report_config_map.access_directory] == "api-access"
    assert mounts[told.cache_directory] == "base-cache"
    assert told.scratch_directory.startswith("/tmp/")
    assert told.report_path.startswith("/tmp/")
    assert told.termination_path == container["terminationMessagePath"]
    assert told.stop_grace_seconds < pod["terminationGracePeriodSeconds"]
    assert volumes["run-spec"]["configMap"]["name"] == run_spec_map["metadata"]["name"]
    assert container["args"] == [stage.value, "--run-spec", f"{_mount_of(mounts, 'run-spec')}/run_spec.json"]
    assert sorted(mounts.values()) == sorted(volumes)


@pytest.mark.parametrize(
    ("stage", "secrets"),
    [
        (StageName.PREPARE, ["s3", "models", "chats"]),
        (StageName.SFT, ["s3", "models", "chats"]),
        (StageName.PREFERENCE, ["s3", "models"]),
        (StageName.MERGE, ["s3", "models"]),
    ],
)
def test_secrets_are_files_of_the_stages_that_need_them(stage: StageName, secrets: list[str]) -> None:
    objects = attempt_objects(job_of("many_sources"), start_of(stage, 1), SETTINGS)
    pod = _pod_template(_only(objects, "Job"))["spec"]
    told = RunSpec.model_validate_json(objects[0]["data"]["run_spec.json"])
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "credentials"]
    (container,) = pod["containers"]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "credentials"]

    files = {
        (one["secret"]["name"], item["key"]): (item["path"], one["secret"]["optional"])
        for one in volume["projected"]["sources"]
        for item in one["secret"]["items"]
    }
    assert files == {
        (name, key): (f"{name}/{key}", key == "AWS_SESSION_TOKEN") for name in secrets for key in SECRET_KEYS
    }
    assert [(folder.secret_name, folder.directory) for folder in told.credentials] == [
        (name, f"{mount['mountPath']}/{name}") for name in secrets
    ]
    assert mount["readOnly"]
    assert not [entry for entry in container["env"] if entry["name"].startswith("AWS_")]


@pytest.mark.parametrize("stage", StageName)
def test_secrets_of_trackers_are_files_of_their_own(stage: StageName) -> None:
    document = complete_document()
    objects = attempt_objects(PaftJob.model_validate_json(json.dumps(document)), start_of(stage, 1), SETTINGS)

    pod = _pod_template(_only(objects, "Job") if stage not in ARMS else _only(objects, "JobSet"))["spec"]
    told = RunSpec.model_validate_json(objects[0]["data"]["run_spec.json"])
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "tracker-credentials"]
    (container,) = pod["containers"]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "tracker-credentials"]
    assert [source["secret"]["name"] for source in volume["projected"]["sources"]] == ["wandb", "mlflow"]
    assert {item["path"] for source in volume["projected"]["sources"] for item in source["secret"]["items"]} == {
        f"{name}/{key}" for name in ("wandb", "mlflow") for key in TRACKER_SECRET_KEYS
    }
    assert [folder.directory for folder in told.tracker_credentials] == [
        f"{mount['mountPath']}/{name}" for name in ("wandb", "mlflow")
    ]
    assert mount["readOnly"]
    assert told.tracking is not None


@pytest.mark.parametrize("stage", StageName)
def test_a_stage_without_secrets_has_no_folder_for_them(stage: StageName) -> None:
    objects = attempt_objects(job_of("own_service_account"), start_of(stage, 1), SETTINGS)

    volumes = _pod_template(_only(objects, "Job"))["spec"]["volumes"]
    assert "credentials" not in [volume["name"] for volume in volumes]
    assert RunSpec.model_validate_json(objects[0]["data"]["run_spec.json"]).credentials == ()


@pytest.mark.parametrize(
    ("situation", "place", "max_bytes"),
    [
        ("many_sources", {"hostPath": {"path": "/mnt/nvme/paft", "type": "DirectoryOrCreate"}}, 500 * 2**30),
        ("cache_on_a_claim", {"persistentVolumeClaim": {"claimName": "bases"}}, 200 * 2**30),
        ("cache_in_the_pod", {"emptyDir": {"sizeLimit": "100Gi"}}, 100 * 2**30),
    ],
)
@pytest.mark.parametrize("stage", StageName)
def test_arms_share_what_their_node_keeps_of_the_base(
    stage: StageName, situation: str, place: Manifest, max_bytes: int
) -> None:
    objects = attempt_objects(job_of(situation), start_of(stage, 1), SETTINGS)
    pod = _pod_template(_only(objects, "Job"))["spec"]
    told = RunSpec.model_validate_json(objects[0]["data"]["run_spec.json"])
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume.pop("name"): volume for volume in pod["volumes"]}

    if stage in ARMS:
        assert volumes["node-cache"] == place
        assert told.base_cache == NodeCache(directory=mounts["node-cache"], max_bytes=max_bytes)
    else:
        assert "node-cache" not in volumes
        assert told.base_cache is None


def _pod_template(workload: Manifest) -> Any:
    if workload["kind"] == "JobSet":
        (replicated_job,) = workload["spec"]["replicatedJobs"]
        return replicated_job["template"]["spec"]["template"]
    return workload["spec"]["template"]


def _only(objects: tuple[Manifest, ...], kind: str) -> Any:
    (found,) = [manifest for manifest in objects if manifest["kind"] == kind]
    return found


def _mount_of(mounts: dict[str, str], volume: str) -> str:
    return next(path for path, name in mounts.items() if name == volume)


def _with_nodes(job: PaftJob, nodes: int) -> PaftJob:
    document = job.to_document()
    for arm in ARMS:
        block: Any = document["spec"][arm]  # type: ignore[index]
        block["resources"]["nodes"] = nodes
        block["training"]["globalBatchSize"] = nodes
    return PaftJob.model_validate_json(json.dumps(document))


def _with_uid(job: PaftJob, uid: str) -> PaftJob:
    document = job.to_document()
    document["metadata"]["uid"] = uid  # type: ignore[index]
    return PaftJob.model_validate_json(json.dumps(document))
