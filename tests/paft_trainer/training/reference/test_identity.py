"""What reference log-probabilities are known by."""

import pytest

from paft_trainer.data.chat import IGNORED
from paft_trainer.training.batching.examples import PairForm
from paft_trainer.training.reference.identity import reference_digest

PAIR = {"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5], "rejected_ids": [6, 7, 8]}


def digest(*pairs: dict[str, list[int]], base: str = "a", precision: str = "fp32", max_length: int = 16) -> str:
    form = PairForm(max_length)
    return reference_digest(
        base_digest="sha256:" + base * 64,
        precision=precision,
        sequences=[sequence for pair in pairs or (PAIR,) for sequence in form.sequences([pair])],
    )


@pytest.mark.parametrize(
    "other",
    [
        digest(base="b"),
        digest(precision="bf16"),
        digest(PAIR | {"chosen_ids": [4, 9]}),
        digest(PAIR | {"prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [3, 6, 7, 8]}),
        digest(PAIR, PAIR),
        digest(max_length=5),
    ],
)
def test_base_precision_tokens_and_where_the_answer_begins_make_a_difference(other: str) -> None:
    assert other != digest()


def test_a_length_that_cuts_nothing_makes_none() -> None:
    assert digest(max_length=1024) == digest()


def test_labels_of_prompts_are_ignored() -> None:
    (chosen, _) = PairForm(16).sequences([PAIR])
    assert chosen.labels == [IGNORED] * 3 + [4, 5]
