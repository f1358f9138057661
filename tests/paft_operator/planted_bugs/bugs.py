"""Bugs of one line each, and the test of the life cycle that has to notice each of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.paft_operator.life_cycle import (
    test_causes,
    test_ends,
    test_foreign_objects,
    test_reports,
    test_retries,
    test_success,
    test_suspension,
)
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.planted_bugs.two_operators import require_truthful_status_from_two_operators

Oracle = Callable[[Place], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bug:
    """`right` occurs once in the file and becomes `wrong`. `operators`: how many work at once, none holding a Lease.

    `is_quick`: planted by every run of the tests, not by campaigns only.
    """

    file: str
    right: str
    wrong: str
    oracle: Oracle
    operators: int = 1
    is_quick: bool = False

    @property
    def oracle_name(self) -> str:
        """The test's name and parameters."""
        if isinstance(self.oracle, partial):
            return f"{self.oracle.func.__name__}[{', '.join(map(str, self.oracle.keywords.values()))}]"
        return self.oracle.__name__

    def plant(self, sources: Path) -> None:
        """Put it into a copy of the sources."""
        path = sources / self.file
        text = path.read_text(encoding="utf-8")
        assert text.count(self.right) == 1, f"{self.file} has {text.count(self.right)} times {self.right!r}"
        path.write_text(text.replace(self.right, self.wrong), encoding="utf-8")


_OPERATOR = "operator/paft_operator"
_told = partial(partial, test_causes.test_an_end_is_told_in_condition_and_event)

BUGS = {
    "a skipped status write": Bug(
        file=f"{_OPERATOR}/reconciling/status_writer.py",
        right="if change is Change.NONE:",
        wrong="if change is not Change.PROGRESS:",
        oracle=test_success.test_a_job_succeeds,
    ),
    "a name without its attempt": Bug(
        file=f"{_OPERATOR}/manifests/names.py",
        right='return f"{job_name}-{stage}-{attempt}"',
        wrong='return f"{job_name}-{stage}"',
        oracle=test_success.test_a_job_succeeds,
        is_quick=True,
    ),
    "a swallowed exception": Bug(
        file=f"{_OPERATOR}/reconciling/workers.py",
        right='pause = self._try_again(key, error)\n            logger.warning("could not',
        wrong='pause = 0.0\n            logger.warning("could not',
        oracle=test_foreign_objects.test_a_quota_that_is_used_up_is_told_and_got_over,
    ),
    "a child without its owner": Bug(
        file=f"{_OPERATOR}/manifests/service.py",
        right="service_name(job.metadata.name, stage)),",
        wrong='service_name(job.metadata.name, stage)) | {"ownerReferences": []},',
        oracle=test_ends.test_a_deleted_job_takes_all_its_objects_with_it_and_nothing_else,
    ),
    "no look at whose an object is": Bug(
        file=f"{_OPERATOR}/cluster/resources.py",
        right='return owner_of(manifest).get("uid") == uid',
        wrong="return True",
        oracle=partial(
            test_foreign_objects.test_an_object_of_somebody_else_is_left_alone, kind=test_foreign_objects.ROLE
        ),
    ),
    "a disruption that counts": Bug(
        file=f"{_OPERATOR}/planner/retries.py",
        right="attempt.generation == generation and not is_excused",
        wrong="attempt.generation == generation",
        oracle=test_retries.test_disruptions_that_brought_a_checkpoint_do_not_count,
        is_quick=True,
    ),
    "a status for any version": Bug(
        file=f"{_OPERATOR}/reconciling/status_writer.py",
        right='"resourceVersion": str(record.version),',
        wrong="",
        oracle=require_truthful_status_from_two_operators,
        operators=2,
    ),
    "an out-of-memory kill that is not known": Bug(
        file=f"{_OPERATOR}/observing/failures.py",
        right='if pod.terminated_reason == "OOMKilled":',
        wrong='if pod.terminated_reason == "OOM":',
        oracle=_told(how="the kernel kills process 1"),
        is_quick=True,
    ),
    "a pod that is forgotten too early": Bug(
        file=f"{_OPERATOR}/cluster/index.py",
        right="record.tells_an_end and",
        wrong="False and",
        oracle=_told(how="a lost node"),
        is_quick=True,
    ),
    "a report of anybody": Bug(
        file=f"{_OPERATOR}/observing/reports.py",
        right="return None if told == own else OF_ANOTHER",
        wrong="return None",
        oracle=test_reports.test_a_report_for_another_attempt_is_ignored,
    ),
    "a transition at every look": Bug(
        file=f"{_OPERATOR}/planner/conclusion.py",
        right="before.last_transition_time if unchanged and before is not None else planning.now",
        wrong="planning.now",
        oracle=test_success.test_a_job_succeeds,
    ),
    "a suspended job that starts": Bug(
        file=f"{_OPERATOR}/planner/stopping.py",
        right="        return\n    planning.may_start = False\n",
        wrong="        return\n",
        oracle=test_suspension.test_a_job_that_is_created_suspended_starts_nothing,
        is_quick=True,
    ),
    "an old generation in status": Bug(
        file=f"{_OPERATOR}/planner/conclusion.py",
        right="observed_generation=planning.generation,",
        wrong="observed_generation=planning.previous.observed_generation or planning.generation,",
        oracle=test_suspension.test_suspension_saves_and_resumption_goes_on_without_counting,
    ),
    "a retry at every look": Bug(
        file=f"{_OPERATOR}/planner/retrying.py",
        right="if token is None or token == planning.retry_token:",
        wrong="if token is None:",
        oracle=test_retries.test_a_retry_is_acted_on_once_per_value,
    ),
    "a refusal that is not told": Bug(
        file=f"{_OPERATOR}/reconciling/reconciler.py",
        right="if _is_refusal(error):",
        wrong="if False:",
        oracle=test_foreign_objects.test_a_quota_that_is_used_up_is_told_and_got_over,
    ),
}
