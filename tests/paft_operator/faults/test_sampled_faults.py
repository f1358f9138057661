"""Whatever happens between operator and API server, a PaftJob comes to what it comes to without any of it."""

from concurrent.futures import Future

import pytest
from tests.paft_operator.faults.cases import EVENTS, SURE, WRITES, Case, sampled_cases
from tests.paft_operator.faults.life_cycle import ATTEMPTS
from tests.paft_operator.faults.outcomes import PLACEHOLDER
from tests.paft_operator.faults.runs import Result, Runs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_undisturbed_run_is_the_history_that_was_meant(runs: Runs) -> None:
    outcome, _ = runs.undisturbed

    assert outcome.created_jobs == sorted(f"{PLACEHOLDER}-{attempt}" for attempt in ATTEMPTS)
    assert outcome.changes["phase"] == [
        (phase, phase)
        for phase in ("Validating", "Training", "Suspended", "Validating", "Training", "Merging", "Succeeded")
    ]
    assert outcome.changes["stage sft"] == [
        ("0/0", "Pending"),
        ("1/0", "Running"),
        ("1/1", "Waiting"),
        ("2/1", "Running"),
        ("2/0", "Running"),
        ("2/0", "Stopped"),
        ("3/0", "Running"),
        ("3/0", "Succeeded"),
    ]
    assert (outcome.backwards, outcome.faults) == ([], [])


def test_the_campaign_has_every_write_and_event(runs: Runs) -> None:
    _, traffic = runs.undisturbed

    assert SURE * WRITES <= len(traffic.writes) <= WRITES
    assert SURE * EVENTS <= traffic.events <= EVENTS
    assert {write.status for write in traffic.writes} <= {200, 201, 409}


@pytest.mark.parametrize("case", sampled_cases(), ids=lambda case: case.key)
def test_faults_change_nothing(case: Case, results: "dict[str, Future[Result]]") -> None:
    result = results[case.key].result()

    assert result.problems == [], result.happened
    assert result.happened
