"""Sizes of data, from samples and from counts."""

import random

import pytest

from paft_cli.estimates.data_size import size_of_lengths, size_of_tokens


def test_all_rows_make_an_exact_count() -> None:
    size = size_of_lengths([(10,), (30,), ()], counted_rows=3, stored_bytes=99)
    assert (size.rows, size.tokens, size.error, size.longest, size.stored_bytes) == (2, 40, 0.0, 30, 99)
    # A token is in a sequence of 10 with probability 1/4, and in one of 30 with 3/4.
    assert size.context == 25


def test_pairs_count_both_answers() -> None:
    size = size_of_lengths([(4, 8), (4, 4)], counted_rows=2)
    assert (size.rows, size.tokens, size.longest) == (2, 20, 8)


def test_a_sample_tells_its_error() -> None:
    size = size_of_lengths([(10,), (20,), (30,)], counted_rows=300)
    # Mean 20, variance 100, finite population 0.99: 1.96 · √(100/3 · 0.99) / 20.
    assert size.tokens == 6000
    assert size.error == pytest.approx(1.96 * (100 / 3 * 0.99) ** 0.5 / 20)
    assert size.longest is None


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    numbers = random.Random(0)
    population = [(numbers.randint(20, 2000),) for _ in range(5000)]
    truth = sum(length for (length,) in population)
    held = 0
    for _ in range(200):
        size = size_of_lengths(numbers.sample(population, 200), counted_rows=len(population))
        held += abs(size.tokens - truth) <= size.error * size.tokens
    assert 180 <= held <= 199


def test_tokens_without_rows_are_full_rows() -> None:
    size = size_of_tokens(1e6, None, max_length=1000, sequences_per_row=2)
    assert (size.rows, size.context) == (500, 1000)


def test_tokens_with_rows_have_their_mean_length() -> None:
    size = size_of_tokens(1e6, 10_000, max_length=1000, sequences_per_row=2)
    assert (size.rows, size.tokens, size.context) == (10_000, 1e6, 50)
