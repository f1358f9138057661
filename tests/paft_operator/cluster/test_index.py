"""The index against watches that repeat, delay, reorder and lose events."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.paft_operator.observing.records_of import JOB_UID, job_of, report_of

from paft_operator.cluster.index import Index, KnownJob
from paft_operator.observing.records import JobKey, JobRecord, Output, PaftJobRecord

KEY = JobKey("team-a", "tiny")


def paft_job(**fields: Any) -> PaftJobRecord:
    """A PaftJob."""
    given: dict[str, Any] = {
        "namespace": "team-a",
        "name": "tiny",
        "uid": JOB_UID,
        "version": 5,
        "generation": 1,
        "created_at": "2026-01-02T03:04:05Z",
        "is_deleting": False,
        "has_ended": False,
        "output": Output("", "s3://models/tiny"),
        "retry_token": None,
        "packed": b"",
    }
    return PaftJobRecord(**(given | fields))


def _known(index: Index) -> KnownJob:
    known = index.known(KEY)
    assert known is not None
    return known


def test_only_newer_versions_replace() -> None:
    index = Index()
    newer = replace(job_of(), version=12, message="newer")

    assert index.put(newer) == KEY
    assert index.put(newer) is None
    assert index.put(replace(job_of(), version=11)) is None
    assert list(_known(index).children.values()) == [newer]


def test_an_echo_of_what_was_written_is_told_from_news() -> None:
    index = Index()
    assert not index.has_paft_job(KEY, 5)
    index.put(paft_job(version=5))

    assert [index.has_paft_job(KEY, version) for version in (4, 5, 6)] == [True, True, False]
    index.remove(paft_job(version=7))
    assert not index.has_paft_job(KEY, 5)


def test_a_deleted_object_does_not_come_back() -> None:
    index = Index()
    job = job_of()
    index.put(job)

    assert index.remove(replace(job, version=20)) == KEY
    assert index.known(KEY) is None
    assert index.put(replace(job, version=15)) is None
    assert index.put(replace(job, version=21, uid="anew")) == KEY


def test_a_late_deletion_leaves_what_was_created_anew() -> None:
    index = Index()
    anew = replace(job_of(), version=30, uid="anew")
    index.put(anew)

    assert index.remove(replace(job_of(), version=20)) is None
    assert list(_known(index).children.values()) == [anew]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 12)), min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(history: list[tuple[bool, int]], shuffle: random.Random) -> None:
    """Each version is one event: either the object's state, or its deletion."""
    events = [(version, deleted) for version, deleted in {version: deleted for deleted, version in history}.items()]
    in_order, shuffled = sorted(events), [*events, *events]
    shuffle.shuffle(shuffled)

    assert _after(in_order) == _after(shuffled)


def _after(events: list[tuple[int, bool]]) -> list[int]:
    index = Index()
    for version, is_deleted in events:
        record = replace(job_of(), version=version)
        if is_deleted:
            index.remove(record)
        else:
            index.put(record)
    known = index.known(KEY)
    return [] if known is None else [child.version for child in known.children.values()]


def test_a_complete_list_drops_what_it_lacks_but_nothing_newer() -> None:
    index = Index()
    old, listed, new = (replace(job_of(attempt=number), version=number * 10) for number in (1, 2, 3))
    for record in (old, listed, new, replace(report_of(), version=1)):
        index.put(record)

    assert index.retain(JobRecord, None, {("team-a", listed.name)}, version=25) == [KEY]
    assert sorted(child.name for child in _known(index).children.values()) == [
        "tiny-sft-1-report",
        "tiny-sft-2",
        "tiny-sft-3",
    ]
    assert index.put(old) is None


def test_a_list_of_one_namespace_says_nothing_of_others() -> None:
    index = Index()
    index.put(job_of())

    assert index.retain(JobRecord, "team-b", set(), version=99) == []
    assert index.retain(JobRecord, "team-a", set(), version=99) == [KEY]


def test_a_job_that_is_gone_is_forgotten_with_its_last_object() -> None:
    index = Index()
    index.put(paft_job())
    index.put(job_of())
    index.remove(paft_job(version=9))
    assert index.size == 1

    index.remove(replace(job_of(), version=11))
    assert index.size == 0


def test_what_was_checked_is_checked_again_for_a_new_job_of_this_name() -> None:
    index = Index()
    index.put(paft_job())
    _known(index).checked.add("something")
    index.put(paft_job(version=6))
    assert _known(index).checked == {"something"}

    index.put(paft_job(version=7, uid="another"))
    assert _known(index).checked == set()


OLDER = {"name": "older", "uid": "b", "created_at": "2026-01-02T03:04:00Z"}
OTHERS = {
    "an older one": ({}, "team-a/older"),
    "an older one in another namespace": ({"namespace": "team-b"}, "team-b/older"),
    "an older one that has ended": ({"has_ended": True}, None),
    "another output": ({"output": Output("", "s3://models/other")}, None),
    "another endpoint": ({"output": Output("http://other", "s3://models/tiny")}, None),
    "no output": ({"output": None}, None),
    "a younger one": ({"created_at": "2026-01-02T03:05:00Z"}, None),
}


@pytest.mark.parametrize(("fields", "expected"), OTHERS.values(), ids=OTHERS.keys())
def test_whose_output_it_is(fields: dict[str, Any], expected: str | None) -> None:
    index = Index()
    job = paft_job()
    index.put(job)
    index.put(paft_job(**(OLDER | fields)))

    assert index.output_in_use_by(job) == expected


def test_of_two_of_one_second_exactly_one_waits() -> None:
    index = Index()
    first, second = paft_job(name="one", uid="a"), paft_job(name="two", uid="b")
    index.put(first)
    index.put(second)

    assert (index.output_in_use_by(first), index.output_in_use_by(second)) == (None, "team-a/one")


@pytest.mark.parametrize("change", [{"has_ended": True}, {"output": Output("", "s3://models/else")}, None])
def test_who_waits_for_an_output_is_told_when_it_is_free(change: dict[str, Any] | None) -> None:
    told: list[JobKey] = []
    index = Index(on_output_change=told.append)
    index.put(paft_job())
    older = paft_job(**OLDER)
    index.put(older)
    told.clear()

    newer = replace(older, version=6, **(change or {}))
    if change is None:
        index.remove(newer)
    else:
        index.put(newer)

    assert KEY in told
