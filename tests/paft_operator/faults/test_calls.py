"""What the proxy makes of requests."""

import pytest
from tests.paft_operator.faults.calls import call_of, job_of

JOB = b'{"metadata": {"name": "tiny-sft-1"}}'


@pytest.mark.parametrize(
    ("method", "path", "body", "parts"),
    [
        ("POST", "/apis/batch/v1/namespaces/here/jobs", JOB, ("jobs", "tiny-sft-1", "")),
        ("PATCH", "/api/v1/namespaces/here/configmaps/tiny-sft-1", b"{}", ("configmaps", "tiny-sft-1", "")),
        (
            "PATCH",
            "/apis/paft.dev/v1alpha1/namespaces/here/paftjobs/tiny/status",
            b"{}",
            ("paftjobs", "tiny", "status"),
        ),
        ("GET", "/apis/paft.dev/v1alpha1/paftjobs", b"", ("paftjobs", "", "")),
        ("GET", "/api/v1/namespaces/here", b"", ("namespaces", "here", "")),
        ("GET", "/apis", b"", ("", "", "")),
    ],
)
def test_a_path_names_an_object(method: str, path: str, body: bytes, parts: tuple[str, str, str]) -> None:
    call = call_of(method, path, {}, body)

    assert (call.resource, call.name, call.subresource) == parts


def test_lists_watches_and_writes_are_told_apart() -> None:
    pods = "/api/v1/namespaces/here/pods"

    calls = [
        call_of("GET", pods, {}, b""),
        call_of("GET", pods, {"watch": "true"}, b""),
        call_of("POST", pods, {}, JOB),
    ]

    assert [(call.is_list, call.is_watch, call.is_write) for call in calls] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_a_name_that_only_begins_alike_is_of_another_job() -> None:
    call = call_of("DELETE", "/apis/batch/v1/namespaces/here/jobs/life-00012-sft-1", {}, b"")

    assert call.concerns("life-00012")
    assert not call.concerns("life-0001")


def test_children_tell_their_job() -> None:
    assert job_of({"kind": "Pod", "metadata": {"name": "x", "labels": {"paft.dev/job-name": "tiny"}}}) == "tiny"
    assert job_of({"kind": "PaftJob", "metadata": {"name": "tiny"}}) == "tiny"
    assert job_of({"kind": "Pod", "metadata": {"name": "x"}}) == ""
