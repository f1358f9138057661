"""The order of rows."""

from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.training.sampling import EpochSampler, visited_rows


@given(rows=st.integers(1, 200), batch=st.integers(1, 20), seed=st.integers(0, 5), epoch=st.integers(0, 3))
def test_an_epoch_is_whole_batches_of_distinct_rows(rows: int, batch: int, seed: int, epoch: int) -> None:
    sampler = EpochSampler(rows=rows, global_batch_size=batch, seed=seed)
    sampler.set_epoch(epoch)
    order = list(sampler)
    assert len(order) == len(sampler) == rows // batch * batch
    assert len(set(order)) == len(order)
    assert set(order) <= set(range(rows))


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochSampler(rows=50, global_batch_size=5, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


@given(rows=st.integers(1, 60), batch=st.integers(1, 10), seed=st.integers(0, 5), steps=st.integers(0, 20))
def test_visited_rows_are_those_of_the_first_steps(rows: int, batch: int, seed: int, steps: int) -> None:
    order = list(EpochSampler(rows=rows, global_batch_size=batch, seed=seed))
    seen = {*order[: steps * batch]} if steps * batch < len(order) else {*range(rows)}
    assert visited_rows(rows=rows, global_batch_size=batch, seed=seed, steps=steps) == sorted(seen)
