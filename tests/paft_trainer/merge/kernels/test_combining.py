"""Two deltas become one: fp32, rounded one by one, in a fixed order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from paft_trainer.merge.arithmetic import Election
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic

ENTRIES = st.one_of(st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0]), st.floats(-1e3, 1e3, width=32))
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 20)).flatmap(
    lambda shape: numpy_strategies.arrays(np.float32, (2, *shape), elements=ENTRIES)
)
FACTORS = st.tuples(*[st.floats(-10, 10, width=32)] * 2)
VOTES = st.tuples(*[st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])] * 2)


@given(PAIRS, FACTORS)
def test_a_weighted_sum_is_numpys(pair: np.ndarray, factors: tuple[float, float]) -> None:
    wanted = pair[0] * np.float32(factors[0]) + pair[1] * np.float32(factors[1])
    found = CpuArithmetic().weighted_sum(*pair, factors)
    assert np.array_equal(found.view(np.uint32), wanted.view(np.uint32))


def elected(pair: tuple[float, float], election: Election) -> float:
    """One entry, in Python's floats of fp32."""
    ballots = [np.float32(value) * np.float32(vote) for value, vote in zip(pair, election.votes, strict=True)]
    total = ballots[0] + ballots[1]
    sign = np.sign(total) or (1 if election.balance_is_positive else 0)
    agree = [arm for arm in range(2) if ballots[arm] * sign > 0]
    value = np.float32(0)
    for arm in agree:
        value += np.float32(pair[arm]) * np.float32(election.factors[arm])
    masses = election.masses or (1.0, 1.0)
    mass = np.float32(sum(np.float32(masses[arm]) for arm in agree))
    return float(value / mass) if election.masses is not None and mass != 0 else float(value)


@given(PAIRS, VOTES, FACTORS, st.none() | VOTES, st.booleans())
def test_an_election_is_as_its_words_say(
    pair: np.ndarray,
    votes: tuple[float, float],
    factors: tuple[float, float],
    masses: tuple[float, float] | None,
    positive: bool,
) -> None:
    election = Election(votes=votes, factors=factors, masses=masses, balance_is_positive=positive)
    found = CpuArithmetic().elect(*pair, election)
    for place in np.ndindex(*found.shape):
        assert float(found[place]) == elected((pair[0][place], pair[1][place]), election)
