import pytest

from paft_api.durations import format_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-3, "0s"), (59.6, "1m0s"), (200, "3m20s"), (4320, "1h12m"), (86_399.7, "1d0h"), (200_000, "2d7h")],
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
