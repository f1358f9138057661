"""Two jobs with one output: the younger waits until the older has ended; then prepare sees what became of it."""

from paft_api.conditions import OUTPUT_IN_USE, output_in_use_message
from paft_operator.planner.planning import Planning


def wait_for_output(planning: Planning) -> None:
    """Start nothing while an older job is about to publish to the same output; what runs goes on."""
    other = planning.observed.output_in_use_by
    if other is None:
        return
    planning.may_start = False
    planning.waiting = (OUTPUT_IN_USE, output_in_use_message(planning.job.spec.merge.output.uri, other))
