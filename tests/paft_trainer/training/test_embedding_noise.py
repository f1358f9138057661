"""NEFTune's noise: its size, and that it depends on rows alone."""

from typing import Any

import pytest
import torch
from tests.paft_trainer.training.test_adapter_targets import tiny_model

from paft_trainer.training.batching.layouts import TokenSequence, packed, padded
from paft_trainer.training.embedding_noise import EmbeddingNoise, row_noise

ALPHA = 5.0
ROWS = [TokenSequence(ids=ids, labels=ids) for ids in ([1, 2, 3], [4, 5], [6, 7, 8, 9])]
CPU = torch.device("cpu")


def noise_in(inputs: dict[str, Any], *, step: int = 0, seed: int = 0, training: bool = True) -> torch.Tensor:
    """What is added to the embeddings of a pass."""
    torch.manual_seed(0)
    model = tiny_model()
    plain = model.get_input_embeddings()(inputs["input_ids"])
    noise = EmbeddingNoise(model.train(training), alpha=ALPHA, seed=seed)
    noise.begin_pass(inputs, step)
    return (model.get_input_embeddings()(inputs["input_ids"]) - plain).detach()


@pytest.mark.parametrize("length", [1, 7, 300])
def test_it_is_uniform_within_the_papers_bound(length: int) -> None:
    noise = row_noise(length, 64, alpha=ALPHA, seed=1, device=CPU)

    bound = ALPHA / (length * 64) ** 0.5
    assert float(noise.abs().max()) <= bound
    assert float(noise.std()) == pytest.approx(bound / 3**0.5, rel=0.15)
    # The paper's ‖ε‖₂ is about α/√3.
    assert float(noise.norm()) == pytest.approx(ALPHA / 3**0.5, rel=0.15)


def test_a_rows_noise_is_the_same_packed_and_padded_and_beside_other_rows() -> None:
    together, apart = noise_in(packed(ROWS)), noise_in(padded(ROWS[1:], pad_token_id=0))

    torch.testing.assert_close(together[0, 3:5], apart[0, :2])
    torch.testing.assert_close(together[0, 5:9], apart[1, :4])
    assert not apart[0, 2:].any()
    assert float(together.abs().min()) > 0


def test_steps_and_seeds_have_noise_of_their_own() -> None:
    inputs = padded(ROWS[:1], pad_token_id=0)
    noises = [noise_in(inputs), noise_in(inputs, step=1), noise_in(inputs, seed=1)]

    assert torch.equal(noises[0], noise_in(inputs))
    assert not any(torch.allclose(noises[0], other) for other in noises[1:])


def test_there_is_none_in_evaluation() -> None:
    assert not noise_in(packed(ROWS), training=False).any()
