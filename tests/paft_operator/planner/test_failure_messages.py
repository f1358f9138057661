"""Failures as one text."""

from tests.paft_operator.planner.situations import failure

from paft_api.causes import Cause
from paft_api.report import Failure, Finding
from paft_operator.planner.failure_messages import LONGEST_MESSAGE, failure_message


def _with_findings(*texts: str) -> Failure:
    findings = tuple(
        Finding(cause=Cause.DATA_INVALID, field=f"spec.field{index}", message=text, remedy="Mend it.")
        for index, text in enumerate(texts)
    )
    return Failure(cause=Cause.DATA_INVALID, message="found things", remedy="Mend them.", findings=findings)


def test_what_happened_and_what_to_do() -> None:
    assert failure_message(failure(Cause.DISK_FULL)) == ("It broke. Free space on the scratch volume or give it more.")


def test_every_finding_is_a_line() -> None:
    assert failure_message(_with_findings("bad", "worse")) == (
        "spec.field0: bad. Mend it.\nspec.field1: worse. Mend it."
    )


def test_many_long_findings_are_shortened_alike_and_none_is_left_out() -> None:
    text = failure_message(_with_findings(*["x" * 2000] * 64))

    assert len(text) <= LONGEST_MESSAGE
    assert [line.partition(":")[0] for line in text.split("\n")] == [f"spec.field{index}" for index in range(64)]
    assert all(line.endswith("…") for line in text.split("\n"))


def test_a_message_as_long_as_a_report_allows_fits() -> None:
    long = Failure(cause=Cause.UNKNOWN, message="m" * 2048, remedy="r" * 2048)

    assert len(failure_message(long)) == LONGEST_MESSAGE
