"""The same sequences as packed and as padded tensors."""

import torch

from paft_trainer.data.chat import IGNORED
from paft_trainer.training.batching.layouts import TokenSequence, packed, padded, sequence_sums, token_count

SEQUENCES = [
    TokenSequence(ids=[7, 8, 9], labels=[7, 8, 9]),
    TokenSequence(ids=[1, 2], labels=[IGNORED, 2]),
    TokenSequence(ids=[5], labels=[5]),
]


def test_packed_sequences_follow_one_another_and_predict_nothing_of_the_next() -> None:
    inputs = packed(SEQUENCES)

    assert inputs["input_ids"].tolist() == [[7, 8, 9, 1, 2, 5]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1, 0]]
    assert inputs["labels"].tolist() == [[IGNORED, 8, 9, IGNORED, 2, IGNORED]]
    assert inputs["row_lengths"] == (3, 2, 1)
    assert token_count(inputs) == 6


def test_padded_sequences_lie_side_by_side() -> None:
    inputs = padded(SEQUENCES, pad_token_id=0)

    assert inputs["input_ids"].tolist() == [[7, 8, 9], [1, 2, 0], [5, 0, 0]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 0]]
    assert inputs["labels"].tolist() == [[7, 8, 9], [IGNORED, 2, IGNORED], [5, IGNORED, IGNORED]]
    assert token_count(inputs) == 6


def test_sums_over_sequences_are_those_of_their_labelled_tokens() -> None:
    def counted(labels: torch.Tensor) -> torch.Tensor:
        return (labels[:, 1:] != IGNORED).float() * labels[:, 1:]

    flat, side_by_side = packed(SEQUENCES), padded(SEQUENCES, pad_token_id=0)
    assert sequence_sums(counted(flat["labels"]), flat["row_lengths"]).tolist() == [17, 2, 0]
    assert sequence_sums(counted(side_by_side["labels"]), None).tolist() == [17, 2, 0]


def test_sums_can_leave_the_first_tokens_of_each_sequence_out() -> None:
    values = torch.tensor([[1.0, 2.0, 0.0, 4.0, 0.0]])
    side_by_side = torch.tensor([[1.0, 2.0], [4.0, 0.0], [0.0, 0.0]])

    for skipping, sums in (([0, 0, 0], [3, 4, 0]), ([2, 1, 0], [2, 4, 0]), ([3, 2, 1], [0, 0, 0])):
        assert sequence_sums(values, (3, 2, 1), skipping=skipping).tolist() == sums
        assert sequence_sums(side_by_side, None, skipping=skipping).tolist() == sums
