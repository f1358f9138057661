"""A retry that was asked for."""

from tests.paft_operator.planner.situations import (
    failed,
    in_short,
    job,
    planned,
    running,
    stopped,
    succeeded,
)

from paft_api.causes import Cause
from paft_api.stages import StageName
from paft_api.status import ConditionType, Phase, StageState

PREPARE, SFT, PREFERENCE, MERGE = StageName
PREPARED = succeeded(PREPARE)
DIVERGED = (PREPARED, failed(SFT, cause=Cause.DIVERGED), stopped(PREFERENCE))
OVER = planned(job(), *DIVERGED)


def test_what_has_failed_begins_anew_and_what_is_finished_stays() -> None:
    attempts = (PREPARED, failed(SFT, cause=Cause.DIVERGED), succeeded(PREFERENCE, at=-1))
    over = planned(job(), *attempts)
    result = planned(job(status=over.status), *attempts, at=60, retry_token="1")

    assert in_short(result) == ["start sft 2"]
    assert result.status.phase is Phase.TRAINING
    assert result.status.stage(PREFERENCE).state is StageState.SUCCEEDED
    assert result.status.condition(ConditionType.FAILED) is None
    assert result.status.retry_token == "1"


def test_a_token_is_acted_on_once() -> None:
    retried = planned(job(status=OVER.status), *DIVERGED, at=60, retry_token="1")
    attempts = (*DIVERGED, failed(SFT, 2, cause=Cause.DIVERGED, at=90), stopped(PREFERENCE, 2, at=90))
    again = planned(job(status=retried.status), *attempts, at=91, retry_token="1")

    assert again.status.phase is Phase.FAILED
    assert again.actions == ()

    third = planned(job(status=again.status), *attempts, at=120, retry_token="2")
    assert in_short(third) == ["start sft 3", "start preference 3"]


def test_failures_before_it_are_forgiven() -> None:
    attempts = (PREPARED, failed(SFT, 1, at=-60), failed(SFT, 2, at=-1), running(PREFERENCE))
    over = planned(job(backoffLimit=1), *attempts)
    assert over.status.phase is Phase.FAILED
    begun = planned(job(status=over.status, backoffLimit=1), *attempts[:3], stopped(PREFERENCE), at=60, retry_token="1")
    attempts = (PREPARED, failed(SFT, 3, at=90), running(PREFERENCE, 2, at=60))
    result = planned(job(status=begun.status, backoffLimit=1), *attempts, at=91, retry_token="1")

    assert (result.status.stage(SFT).state, result.status.stage(SFT).failures) == (StageState.WAITING, 1)


def test_running_time_before_it_is_forgiven() -> None:
    attempts = (PREPARED, running(SFT), running(PREFERENCE))
    over = planned(job(activeDeadlineSeconds=5), *attempts, at=5)
    assert over.status.phase is Phase.FAILED
    ended = (PREPARED, stopped(SFT, at=6), stopped(PREFERENCE, at=6))
    result = planned(job(status=over.status, activeDeadlineSeconds=5), *ended, at=60, retry_token="1")

    assert in_short(result) == ["start sft 2", "start preference 2"]


def test_a_job_that_has_not_failed_takes_note_and_goes_on() -> None:
    attempts = (PREPARED, running(SFT), running(PREFERENCE))
    begun = planned(job(), *attempts)
    noted = planned(job(status=begun.status), *attempts, at=1, retry_token="1")

    assert noted.status == begun.status.model_copy(update={"retry_token": "1"})
    over = planned(job(status=noted.status), *DIVERGED, at=2, retry_token="1")
    assert over.status.phase is Phase.FAILED


def test_a_long_token_is_cut_and_still_acted_on_once() -> None:
    retried = planned(job(status=OVER.status), *DIVERGED, at=60, retry_token="x" * 1000)

    assert retried.status.retry_token == "x" * 64
    again = planned(job(status=retried.status), *DIVERGED, at=61, retry_token="x" * 1000)
    assert again.status == retried.status


def test_a_wish_that_is_gone_is_remembered() -> None:
    retried = planned(job(status=OVER.status), *DIVERGED, at=60, retry_token="1")

    assert planned(job(status=retried.status), *DIVERGED, at=61).status.retry_token == "1"
