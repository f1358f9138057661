"""The reference pass in one process: what is there is not computed, and what is computed stays."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from paft_trainer.errors import Diverged
from paft_trainer.storage.file_store import FileStore, path_of
from paft_trainer.training.batching.batching import Batching
from paft_trainer.training.batching.examples import PairForm
from paft_trainer.training.batching.layouts import sequence_sums
from paft_trainer.training.reference.reference_pass import ReferencePass
from paft_trainer.training.reference.shards import ReferenceShards, shard_rows

ROWS = [{"prompt_ids": [1, row], "chosen_ids": [row] * (row % 7 + 1), "rejected_ids": [2 * row]} for row in range(70)]
EXPECTED = torch.tensor([[sum(row[answer]) for row in ROWS] for answer in ("chosen_ids", "rejected_ids")]).float()


class Forward:
    """In place of a model: the sum of an answer's tokens. `fails_at`: the call that ends the process."""

    def __init__(self, *, fails_at: int | None = None) -> None:
        self.calls = 0
        self._fails_at = fails_at

    def __call__(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        self.calls += 1
        if self.calls == self._fails_at:
            raise KeyboardInterrupt
        return sequence_sums(inputs["labels"][:, 1:].clamp(min=0).float(), inputs.get("row_lengths")).view(2, -1)


@pytest.fixture(params=[True, False], ids=["packed", "padded"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., torch.Tensor | None]:
    """Runs a pass over ROWS."""
    batching = Batching(is_packed=request.param, rows_per_pass=4, tokens_per_pass=64, pad_token_id=0)
    shards = ReferenceShards(FileStore(), f"file://{tmp_path}/", "sha256:" + "a" * 64, allow_unconditional=False)

    def run(forward: Forward, *, should_stop: Callable[[], bool] = lambda: False) -> torch.Tensor | None:
        reference = ReferencePass(ROWS, form=PairForm(16), batching=batching, shards=shards, forward=forward)
        return reference.run(should_stop=should_stop)

    return run


def test_a_second_run_computes_nothing(run: Callable[..., torch.Tensor]) -> None:
    first, second = Forward(), Forward()

    assert torch.equal(run(first), EXPECTED)
    assert first.calls > 0
    assert torch.equal(run(second), EXPECTED)
    assert second.calls == 0


def test_a_killed_run_loses_no_whole_shard(run: Callable[..., torch.Tensor], tmp_path: Path) -> None:
    unbroken = Forward()
    run(unbroken)
    for file in tmp_path.iterdir():
        file.unlink()
    killed, continued = Forward(fails_at=unbroken.calls // 2), Forward()
    with pytest.raises(KeyboardInterrupt):
        run(killed)
    done = len(list(tmp_path.iterdir()))
    assert 0 < done < len(shard_rows(len(ROWS)))

    assert torch.equal(run(continued), EXPECTED)
    assert continued.calls < unbroken.calls
    # All but the passes of the shard that it was killed in.
    assert killed.calls + continued.calls <= unbroken.calls + 4


def test_a_broken_shard_alone_is_computed_again(run: Callable[..., torch.Tensor], tmp_path: Path) -> None:
    run(Forward())
    files = sorted(tmp_path.iterdir())
    files[1].write_bytes(files[1].read_bytes()[:-1])

    again = Forward()
    assert torch.equal(run(again), EXPECTED)
    assert 0 < again.calls <= 4


def test_a_pass_that_is_stopped_keeps_what_it_has(run: Callable[..., torch.Tensor | None], tmp_path: Path) -> None:
    assert run(Forward(), should_stop=lambda: True) is None
    assert len(list(tmp_path.iterdir())) == 1


def test_values_that_are_not_finite_are_refused(run: Callable[..., torch.Tensor], tmp_path: Path) -> None:
    def broken(inputs: Mapping[str, Any]) -> torch.Tensor:
        return Forward()(inputs) / 0

    with pytest.raises(Diverged, match="pairs 1 to 16 log-probabilities that are not finite"):
        run(broken)
    assert list(path_of(f"file://{tmp_path}/").iterdir()) == []
