"""What DPO and ORPO are given of a pair."""

from paft_trainer.data.chat import IGNORED
from paft_trainer.training.batching.examples import PROMPT_TOKENS, PairForm, PairFormWithPrompts
from paft_trainer.training.batching.layouts import TokenSequence

PAIR = {"prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [6]}


def test_dpo_learns_the_answers_alone() -> None:
    chosen, rejected = PairForm(16).sequences([PAIR])

    assert chosen == TokenSequence(ids=[1, 2, 3, 4, 5], labels=[IGNORED, IGNORED, 3, 4, 5])
    assert rejected == TokenSequence(ids=[1, 2, 6], labels=[IGNORED, IGNORED, 6])
    assert PairForm(16).learnt_tokens(PAIR) == 3


def test_orpo_learns_the_prompt_of_the_chosen_answer_too() -> None:
    form = PairFormWithPrompts(16)
    chosen, rejected = form.sequences([PAIR])

    assert chosen == TokenSequence(ids=[1, 2, 3, 4, 5], labels=[1, 2, 3, 4, 5])
    assert rejected == TokenSequence(ids=[1, 2, 6], labels=[IGNORED, IGNORED, 6])
    assert form.learnt_tokens(PAIR) == 4
    assert form.extras([PAIR, PAIR])[PROMPT_TOKENS].tolist() == [2, 2]


def test_answers_are_cut_with_their_prompts() -> None:
    for form, learnt in ((PairForm(4), 2), (PairFormWithPrompts(4), 3)):
        chosen, rejected = form.sequences([PAIR])

        assert (len(chosen.ids), len(rejected.ids)) == (4, 3)
        assert form.learnt_tokens(PAIR) == learnt
        assert form.tokens(PAIR) == 7
