"""Counts on the command line."""

import pytest

from paft_cli.estimates.counts import counts_by_arm


def test_units_and_arms() -> None:
    assert counts_by_arm("--tokens", ["50M"]) == {"sft": 5e7, "preference": 5e7}
    assert counts_by_arm("--tokens", ["sft=1.5G", "preference=20000"]) == {"sft": 1.5e9, "preference": 2e4}
    assert counts_by_arm("--tokens", ["sft=2B"]) == {"sft": 2e9}
    assert counts_by_arm("--rows", []) == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["dpo=5M"], "--tokens 'dpo=5M': 'dpo' is no arm; use sft=N or preference=N"),
        (["lots"], "--tokens 'lots': 'lots' is no count above 0; write 50000000, 50M or 0.05G"),
        (["-5"], "--tokens '-5': '-5' is no count above 0; write 50000000, 50M or 0.05G"),
        (["sft=0"], "--tokens 'sft=0': '0' is no count above 0; write 50000000, 50M or 0.05G"),
        (["5M", "sft=5M"], "--tokens is given twice for sft"),
    ],
)
def test_what_is_no_count_is_refused(values: list[str], message: str) -> None:
    with pytest.raises(ValueError, match="^--tokens ") as raised:
        counts_by_arm("--tokens", values)
    assert str(raised.value) == message
