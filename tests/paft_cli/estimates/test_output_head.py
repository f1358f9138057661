"""Logits by hand."""

from tests.paft_cli.estimates.shapes import SEVEN_B, llama_tensors, tiny_base

from paft_cli.estimates.base_shape import base_shape
from paft_cli.estimates.output_head import head_bytes


def test_on_a_gpu_there_is_one_tile_and_the_gradient_of_hidden_states() -> None:
    base = base_shape(SEVEN_B, llama_tensors(SEVEN_B))
    assert head_bytes(base, 8192, element_bytes=2, device="cuda") == 4096 * 32768 * 2 + 8192 * 4096 * 4
    assert head_bytes(base, 100, element_bytes=2, device="cuda") == 100 * 32768 * 2 + 100 * 4096 * 4


def test_a_large_vocabulary_makes_no_larger_tile() -> None:
    base = tiny_base(vocab_size=200_000)
    assert head_bytes(base, 10, element_bytes=2, device="cuda") == 10 * 32768 * 2 + 10 * 8 * 4


def test_on_a_cpu_copies_of_the_tile_exist_at_once() -> None:
    assert head_bytes(tiny_base(), 10, element_bytes=4, device="cpu") == 8 * 10 * 32 * 4 + 10 * 8 * 4
