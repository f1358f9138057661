import random

import pytest
from hack.derive_preference_pairs import NoPair, derive_pair, evaluate, wrong_solution

QUESTION = "A box holds 24 pencils. Tom has 3 boxes and finds 5 pencils. Each pencil costs $2. What are they worth?"


def test_a_wrong_step_is_carried_on_to_the_final_answer() -> None:
    answer = "He has 3*24=<<3*24=72>>72 pencils in boxes.\nThese 72 and 5 are 72+5=<<72+5=77>>77.\n#### 77"

    wrong = {wrong_solution(QUESTION, answer, random.Random(seed)) for seed in range(400)}

    assert "He has 3*24=<<3*24=73>>73 pencils in boxes.\nThese 73 and 5 are 73+5=<<73+5=78>>78.\n#### 78" in wrong
    assert "He has 3*24=<<3*24=72>>72 pencils in boxes.\nThese 72 and 5 are 72+5=<<72+5=75>>75.\n#### 75" in wrong
    assert len(wrong) == 20


def test_a_pair_keeps_the_question_and_the_worked_solution() -> None:
    question = {"role": "user", "content": QUESTION}
    answer = {"role": "assistant", "content": "3*24=<<3*24=72>>72\n#### 72"}

    pair = derive_pair({"messages": [question, answer]}, random.Random(0))

    assert pair["prompt"] == [question]
    assert pair["chosen"] == [answer]
    assert pair["rejected"][0]["role"] == "assistant"
    assert pair["rejected"] != pair["chosen"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("It is 72.\n#### 72", "no step has a result of its own"),
        ("3+2=<<3+2=5>>5\n#### 5", "no step has a result of its own"),
        ("24+5=<<24+5=29>>29\n3*24=72\n#### 72", "the final answer does not depend on the step"),
        ("24*3=<<24*3=72>>72\n72/72=<<72/72=1>>1\n#### 1", "the final answer does not depend on the step"),
        ("24/7=<<24/7=3.43>>3.43\n3.43*2=<<3.43*2=7>>7\n#### 7", "a step's own result is rounded"),
    ],
)
def test_solutions_that_the_rule_says_nothing_about_make_no_pair(answer: str, reason: str) -> None:
    # The seed picks the first step where there are two.
    with pytest.raises(NoPair, match=reason):
        wrong_solution(QUESTION, answer, random.Random(1))


def test_only_arithmetic_is_evaluated() -> None:
    assert evaluate("2*(3+4)/.5 - 1") == 27

    for expression in ("1/0", "x", "__import__('os')", "2**9", "3 +"):
        with pytest.raises(NoPair):
            evaluate(expression)
