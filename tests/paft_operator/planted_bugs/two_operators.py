"""Two operators that both believe to lead."""

from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.played_stages import stage


def require_truthful_status_from_two_operators(place: Place) -> None:
    """Several PaftJobs succeed, and no status of theirs goes back."""
    names = [f"{place.name}-{number}" for number in range(16)]
    for name in names:
        place.play(stage(0.5, steps=8), name=name)
        place.create_other(name)
    for name in names:
        place.wait_for_phase("Succeeded", name=name)
    assert sum(len(place.jobs.jobs(name)) for name in names) == 4 * len(names)
