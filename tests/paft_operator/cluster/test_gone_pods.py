"""What a pod last said outlives it until its Job has said how it ended."""

from dataclasses import replace

from tests.paft_operator.observing.records_of import JOB_UID, ended_pod, job_of, later, pod_of

from paft_api.stages import StageName
from paft_operator.cluster.index import Index
from paft_operator.observing.children import children_of
from paft_operator.observing.records import AttemptKey, JobKey, JobRecord, PodRecord

KEY = JobKey("team-a", "tiny")
ATTEMPT = AttemptKey(StageName.SFT, 1)
LOST = pod_of(index=0, phase="Failed", disruption_reason="DeletionByPodGC")


def _pods(index: Index) -> list[PodRecord]:
    known = index.known(KEY)
    return children_of(JOB_UID, known.children.values())[ATTEMPT].pods if known is not None else []


def _index(*records: JobRecord | PodRecord) -> Index:
    index = Index()
    for record in records:
        index.put(record)
    return index


def test_a_pod_that_tells_an_end_is_remembered_and_does_not_come_back() -> None:
    index = _index(job_of(), LOST)

    assert index.remove(replace(LOST, version=11)) == KEY
    assert _pods(index) == [replace(LOST, version=11, is_gone=True)]
    assert index.put(LOST) is None


def test_a_pod_that_tells_nothing_is_forgotten() -> None:
    running = pod_of(phase="Running", started_at=later(1))
    index = _index(job_of(), running)

    index.remove(replace(running, version=11))

    assert _pods(index) == []


def test_a_complete_list_does_not_make_it_forgotten() -> None:
    index = _index(job_of(), LOST)
    index.remove(replace(LOST, version=11))

    assert index.retain(PodRecord, None, set(), version=99) == []
    assert len(_pods(index)) == 1


def test_it_goes_with_its_job() -> None:
    job = job_of()
    index = _index(job, LOST)
    index.remove(replace(LOST, version=11))

    index.remove(replace(job, version=12))

    assert index.known(KEY) is None


def test_it_is_not_remembered_after_its_job() -> None:
    job = job_of()
    index = _index(job, LOST)

    index.remove(replace(job, version=12))
    index.remove(replace(LOST, version=13))

    assert index.known(KEY) is None


def test_it_is_forgotten_when_a_queue_holds_its_job_back() -> None:
    index = _index(job_of(), LOST)
    index.remove(replace(LOST, version=11))

    index.put(replace(job_of(admitted_at=None), version=12))
    index.put(replace(job_of(admitted_at=later(60)), version=13))

    assert _pods(index) == []


def test_what_a_queue_deletes_is_not_remembered() -> None:
    stopped = ended_pod(143)
    index = _index(replace(job_of(admitted_at=None), version=12), stopped)

    index.remove(replace(stopped, version=13))

    assert _pods(index) == []
