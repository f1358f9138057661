"""How much an arm has to train on."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSize:
    """The training rows of an arm, once.

    `rows`: those that something can be learnt from. `tokens`: of all their sequences, each cut at maxLength; of a pair
    both. `context`: mean length of the sequence that a token is in, which attention's work grows with. `longest`: of
    one sequence; None where not all rows were looked at. `error`: half the width of the 95 % interval of `tokens`, as a
    share of it; 0 where all were counted. `stored_bytes`: of the files, None where they were not looked at.
    """

    rows: float
    tokens: float
    context: float
    longest: int | None = None
    error: float = 0.0
    stored_bytes: int | None = None


def size_of_tokens(tokens: float, rows: float | None, *, max_length: int, sequences_per_row: int) -> DataSize:
    """Of a count that somebody gives. Without rows they are taken to be as long as maxLength allows."""
    most = max_length * sequences_per_row
    count = rows if rows is not None else max(1.0, tokens / most)
    return DataSize(rows=count, tokens=tokens, context=min(float(max_length), tokens / count / sequences_per_row))


def size_of_lengths(lengths: list[tuple[int, ...]], *, counted_rows: int, stored_bytes: int | None = None) -> DataSize:
    """Of sampled rows. `lengths`: tokens of each sequence of each sampled row, () where nothing can be learnt from it.
    `counted_rows`: of all rows.

    The total is the mean of the sample times the rows; its interval that of simple random sampling without replacement
    (Cochran, Sampling Techniques, 1977, section 2.5).
    """
    totals = [sum(row) for row in lengths]
    count, mean = len(totals), sum(totals) / len(totals)
    everything = count == counted_rows
    spread = sum((total - mean) ** 2 for total in totals) / max(1, count - 1)
    standard_error = (spread / count * (1 - count / counted_rows)) ** 0.5
    usable = sum(1 for total in totals if total) / count
    return DataSize(
        rows=counted_rows * usable,
        tokens=counted_rows * mean,
        context=sum(length**2 for row in lengths for length in row) / max(1, sum(totals)),
        longest=max((length for row in lengths for length in row), default=0) if everything else None,
        error=1.96 * standard_error / mean if mean else 0.0,
        stored_bytes=stored_bytes,
    )
