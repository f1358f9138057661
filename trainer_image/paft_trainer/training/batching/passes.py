"""Which rows of an optimizer step each process computes in which of its forward passes: pure, the same everywhere.

Every process works the whole plan out by itself, from the lengths of all rows of the step, so that nothing has to be
sent around. All processes get the same number of passes, as ZeRO-3 needs, which gathers each layer in step.
"""

from collections.abc import Sequence

Passes = list[list[int]]
"""Forward passes of one process: for each, positions of rows within the step."""


def fixed_passes(rows: int, *, processes: int, rows_per_pass: int) -> list[Passes]:
    """The passes of each process with `rows_per_pass` rows in each, in turn.

    `rows`: a multiple of processes × `rows_per_pass`; for one process any number, and the last pass has the rest.
    """
    per_round = processes * rows_per_pass
    return [
        [
            list(range(first, min(first + rows_per_pass, rows)))
            for first in range(process * rows_per_pass, rows, per_round)
        ]
        for process in range(processes)
    ]


def packed_passes(lengths: Sequence[int], *, processes: int, tokens_per_pass: int) -> list[Passes]:
    """The passes of each process with as many rows in each as fit, and about as many tokens in one as in another.

    `lengths`: tokens of each row of the step, at least one row for each process; no row is longer than
    `tokens_per_pass`. First-fit decreasing (Johnson 1973) tells how many passes are needed; the rows then go, longest
    first, each into the pass with the fewest tokens, unless that would not fit.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    fitted = _first_fit(order, lengths, tokens_per_pass)
    passes = -(-len(fitted) // processes) * processes
    balanced = _evenly(order, lengths, passes)
    if max(_tokens(rows, lengths) for rows in balanced) > tokens_per_pass:
        balanced = _split_up(fitted, passes)
    balanced.sort(key=lambda rows: (-_tokens(rows, lengths), min(rows)))
    # Neighbours in size go to different processes, which then wait little for each other.
    return [[sorted(rows) for rows in balanced[process::processes]] for process in range(processes)]


def _first_fit(order: Sequence[int], lengths: Sequence[int], tokens_per_pass: int) -> Passes:
    passes: Passes = []
    free: list[int] = []
    for row in order:
        place = next((index for index, tokens in enumerate(free) if tokens >= lengths[row]), None)
        if place is None:
            passes.append([row])
            free.append(tokens_per_pass - lengths[row])
        else:
            passes[place].append(row)
            free[place] -= lengths[row]
    return passes


def _evenly(order: Sequence[int], lengths: Sequence[int], passes: int) -> Passes:
    result: Passes = [[] for _ in range(passes)]
    tokens = [0] * passes
    for row in order:
        emptiest = min(range(passes), key=lambda index: (tokens[index], index))
        result[emptiest].append(row)
        tokens[emptiest] += lengths[row]
    return result


def _split_up(fitted: Passes, passes: int) -> Passes:
    """Take the last row out of the fullest pass until there are `passes`; there are at least that many rows."""
    result = [list(rows) for rows in fitted]
    while len(result) < passes:
        fullest = max(result, key=len)
        result.append([fullest.pop()])
    return result


def _tokens(rows: Sequence[int], lengths: Sequence[int]) -> int:
    return sum(lengths[row] for row in rows)
