"""Two jobs with one output."""

from tests.paft_operator.planner.situations import conditions, in_short, job, planned, running, stopped, succeeded

from paft_api.stages import StageName
from paft_api.status import ConditionType, Phase

PREPARE, SFT, PREFERENCE, MERGE = StageName
PREPARED = succeeded(PREPARE)


def test_the_younger_job_starts_nothing_and_says_why() -> None:
    result = planned(job(), output_in_use_by="team-b/older")

    assert result.actions == ()
    assert result.status.phase is Phase.PENDING
    condition = result.status.condition(ConditionType.VALIDATED)
    assert condition is not None
    assert (condition.status, condition.reason) == ("Unknown", "OutputInUse")
    assert condition.message == (
        "merge.output.uri s3://models/fused/ is the output of team-b/older, which is older and has not ended; "
        "nothing starts until then. Give this job an output of its own, or delete one of the two."
    )
    assert [event.reason for event in result.events] == ["OutputInUse"]
    assert conditions(result)["Reconciling"] == "True Progressing"


def test_it_is_told_once() -> None:
    first = planned(job(), output_in_use_by="team-b/older")

    assert planned(job(status=first.status), at=60, output_in_use_by="team-b/older").events == ()


def test_it_begins_when_the_older_has_ended() -> None:
    waiting = planned(job(), output_in_use_by="team-b/older")

    assert in_short(planned(job(status=waiting.status), at=60)) == ["start prepare 1"]


def test_what_runs_goes_on_and_nothing_follows() -> None:
    begun = planned(job(), PREPARED, running(SFT), running(PREFERENCE))
    attempts = (PREPARED, stopped(SFT), running(PREFERENCE))
    result = planned(job(status=begun.status), *attempts, at=60, output_in_use_by="team-b/older")

    assert result.actions == ()
    assert conditions(result)["Validated"] == "True OutputInUse"
