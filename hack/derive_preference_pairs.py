"""Preference pairs from GSM8K's worked solutions: the right one against one with a wrong result in one step.

The rule. Solutions mark every calculation, as in `3*24=$<<3*24=72>>72`. One step is picked by a seeded generator and
its result is changed by 1 to 10. From there on the solution goes wrong consistently: every later calculation that uses
a wrong number is done again with it, and the text and the final answer say what comes out. A step whose result also
stands in the question or earlier in the solution is not picked, since a number there need not be the same one; a
solution that gives no other final answer makes no pair.
"""

import ast
import operator
import random
import re
from collections.abc import Callable
from typing import Any

_NUMBER = re.compile(r"(?<![\d.])\d+(?:\.\d+)?(?!\d|\.\d)")
_CALCULATION = re.compile(r"<<(?P<expression>[^<>=]+)=(?P<result>\d+(?:\.\d+)?)>>")
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_CHANGES = (-10, -5, -3, -2, -1, 1, 2, 3, 5, 10)


class NoPair(ValueError):
    """A solution that the rule makes no pair of; the message says why."""


def derive_pair(row: dict[str, Any], generator: random.Random) -> dict[str, Any]:
    """A pair from a chat of one question and one worked solution. Raises NoPair."""
    question, answer = row["messages"]
    rejected = wrong_solution(question["content"], answer["content"], generator)
    return {"prompt": [question], "chosen": [answer], "rejected": [{"role": "assistant", "content": rejected}]}


def wrong_solution(question: str, answer: str, generator: random.Random) -> str:
    """The solution with one wrong step and everything that follows from it. Raises NoPair."""
    solution, mark, final = answer.rpartition("#### ")
    steps = [step for step in _CALCULATION.finditer(solution) if _is_new(step, question, solution)]
    if not mark or not steps:
        raise NoPair("no step has a result of its own")
    step = generator.choice(steps)
    right = step["result"]
    wrong = {right: _changed(right, generator)}
    text = solution[: step.start("result")] + wrong[right] + ">>" + _carried_on(solution[step.end() :], wrong)
    right_answer = final.strip()
    if wrong.get(right_answer, right_answer) == right_answer:
        raise NoPair("the final answer does not depend on the step")
    return f"{text}#### {wrong[right_answer]}"


def evaluate(expression: str) -> float:
    """The value of a sum, difference, product or quotient of numbers. Raises NoPair for anything else."""
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ZeroDivisionError) as error:
        raise NoPair(f"{expression!r} has no value: {error}") from error


def _is_new(step: re.Match[str], question: str, solution: str) -> bool:
    return step["result"] not in _NUMBER.findall(f"{question}\n{solution[: step.start('result')]}")


def _changed(number: str, generator: random.Random) -> str:
    changes = [change for change in _CHANGES if float(number) + change > 0]
    return _written(float(number) + generator.choice(changes))


def _carried_on(rest: str, wrong: dict[str, str]) -> str:
    """The rest of a solution after its wrong step; `wrong` (wrong number by right one) grows as more numbers change."""
    written: list[str] = []
    position = 0
    for calculation in _CALCULATION.finditer(rest):
        written.append(_replaced(rest[position : calculation.start()], wrong))
        expression = _replaced(calculation["expression"], wrong)
        if expression != calculation["expression"]:
            if _written(evaluate(calculation["expression"])) != calculation["result"]:
                raise NoPair("a step's own result is rounded")
            wrong[calculation["result"]] = _written(evaluate(expression))
        written.append(f"<<{expression}={wrong.get(calculation['result'], calculation['result'])}>>")
        position = calculation.end()
    return "".join([*written, _replaced(rest[position:], wrong)])


def _replaced(text: str, wrong: dict[str, str]) -> str:
    return _NUMBER.sub(lambda number: wrong.get(number[0], number[0]), text)


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(left), _value(right))
        case _:
            raise NoPair(f"{ast.unparse(node)!r} is no arithmetic")


def _written(value: float) -> str:
    """As GSM8K writes numbers: at most two decimals. Raises NoPair for what cannot be written so."""
    if value < 0 or round(value, 2) != round(value, 9):
        raise NoPair(f"{value} is negative or has more than two decimals")
    return f"{round(value, 2):.2f}".rstrip("0").rstrip(".")
