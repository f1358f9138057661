"""What goes wrong in real pods ends with its cause, told where people look."""

import pytest
from tests.node.node_cluster import BASE, DATA, NodeNamespace, condition, small_job, stage

pytestmark = pytest.mark.timeout(600)


@pytest.mark.node
def test_too_little_memory_is_told(place: NodeNamespace) -> None:
    manifest = small_job(place, "little-memory", BASE, DATA, nodes=1)
    manifest["spec"]["sft"]["resources"]["memory"] = "200Mi"
    manifest["spec"]["sft"]["resources"]["sharedMemory"] = "64Mi"
    manifest["spec"]["runPolicy"]["backoffLimit"] = 0
    place.create(manifest)

    failed = condition(place.wait_for_phase("little-memory", "Failed"), "Failed")

    assert failed["reason"] == "HostOOM"
    assert "resources.memory" in failed["message"]
    assert "HostOOM" in place.kubectl("describe", "paftjob", "little-memory")


@pytest.mark.node
def test_wrong_credentials_are_told(place: NodeNamespace) -> None:
    place.write_secret(place.s3.environment | {"AWS_SECRET_ACCESS_KEY": "not-it"}, name="wrong")
    manifest = small_job(place, "wrong-credentials", BASE, DATA, nodes=1)
    manifest["spec"]["storage"]["secretRef"]["name"] = "wrong"
    place.create(manifest)

    job = place.wait_for_phase("wrong-credentials", "Failed")

    assert condition(job, "Failed")["reason"] == "StorageAuth"
    assert stage(job["status"], "prepare")["attempt"] == 1
    assert stage(job["status"], "sft")["state"] == "Pending"
    described = place.kubectl("describe", "paftjob", "wrong-credentials")
    assert "StorageAuth" in described
    objects = place.kubectl("get", "paftjobs,jobs,pods,configmaps,events", "--output", "yaml")
    assert not [text for text in (described, objects) if "not-it" in text]


@pytest.mark.e2e
def test_an_image_that_is_not_there_is_told(place: NodeNamespace) -> None:
    manifest = small_job(place, "no-image", BASE, DATA, nodes=1)
    manifest["spec"]["trainer"]["image"] = "localhost/nothing:1"
    manifest["spec"]["runPolicy"]["pendingDeadlineSeconds"] = 20
    place.create(manifest)

    failed = condition(place.wait_for_phase("no-image", "Failed"), "Failed")

    assert failed["reason"] == "ImagePull"
    assert "localhost/nothing:1" in failed["message"]
    assert "trainer.image" in place.kubectl("describe", "paftjob", "no-image")


@pytest.mark.e2e
def test_a_broken_line_of_data_is_told_before_anything_trains(place: NodeNamespace) -> None:
    place.upload("broken/chats.jsonl", b'{"messages": [{"role": "user", "content": "1+1="}\n')
    manifest = small_job(place, "broken-line", BASE, DATA, nodes=1)
    manifest["spec"]["sft"]["data"]["train"][0]["uri"] = f"{place.prefix}broken/chats.jsonl"
    place.create(manifest)

    job = place.wait_for_phase("broken-line", "Failed")

    failed = condition(job, "Failed")
    assert failed["reason"] == "DataInvalid"
    assert f"{place.prefix}broken/chats.jsonl:1: not JSON" in failed["message"]
    assert stage(job["status"], "sft")["state"] == "Pending"
    assert "broken/chats.jsonl" in place.kubectl("describe", "paftjob", "broken-line")
