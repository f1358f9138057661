"""The peak of a process by hand."""

from tests.paft_cli.estimates.shapes import preference_setting, sft_setting

from paft_cli.estimates.memory import IMPORTED_BYTES, KEPT_BY_ALLOCATOR, RUNTIME_BYTES, arm_memory

LAYER = 72 + 88 + 144 + 28  # test_activations.py
END = 36 + 2 * 8 + 2 * 8
FIRST = 36
ADAPTER = 2 * 2 * (4 * 8 + 2 * 12 + 3 * 24)


def test_everything_of_one_gpu() -> None:
    memory = arm_memory(sft_setting(micro_batch_size=2))
    tokens = 2 * 16
    assert memory.tokens == tokens
    assert (memory.base, memory.gathered) == (3408, 0)
    assert (memory.adapter, memory.master, memory.optimizer) == (2 * ADAPTER, 4 * ADAPTER, 8 * ADAPTER)
    assert memory.gradients == 2 * (ADAPTER + 64) + 4 * ADAPTER
    kept, working = tokens * (2 * LAYER - FIRST + END), tokens * 96
    assert memory.activations == kept + working
    assert memory.logits == tokens * (32768 * 2 + 8 * 4)
    standing = memory.base + 20 * ADAPTER + 128 + RUNTIME_BYTES["cuda"]
    assert memory.peak == standing + kept + memory.logits


def test_checkpointing_keeps_inputs_and_one_layer() -> None:
    memory = arm_memory(sft_setting(micro_batch_size=2, gradient_checkpointing=True))
    assert memory.activations == 32 * (2 * 16 + END + LAYER + 96)


def test_pairs_have_twice_the_tokens() -> None:
    assert arm_memory(preference_setting(micro_batch_size=2)).tokens == 2 * 2 * 16


def test_a_pass_has_no_more_rows_than_the_step_gives_a_process() -> None:
    assert arm_memory(sft_setting(micro_batch_size=4), longest=5).tokens == 4 * 5
    assert arm_memory(sft_setting(micro_batch_size=1), longest=5).tokens == 16
    assert arm_memory(sft_setting(micro_batch_size=1, packing=False), longest=5).tokens == 5


def test_what_is_offloaded_is_not_on_the_gpu() -> None:
    offloads = {"offload_param": {"device": "cpu"}, "offload_optimizer": {"device": "cpu"}}
    memory = arm_memory(sft_setting(deepspeed={"zero_optimization": offloads}))
    assert (memory.base, memory.optimizer, memory.master) == (0, 0, 0)


def test_the_fields_of_training_offload_too_unless_deepspeed_says_otherwise() -> None:
    fields = {"offload_param": "cpu", "offload_optimizer": "cpu"}
    memory = arm_memory(sft_setting(**fields))
    assert (memory.base, memory.optimizer, memory.master) == (0, 0, 0)
    kept = {"zero_optimization": {"offload_param": {"device": "none"}}}
    memory = arm_memory(sft_setting(**fields, deepspeed=kept))
    assert (memory.base, memory.optimizer) == (3408, 0)


def test_fp16_has_two_bytes_as_bf16_has() -> None:
    assert arm_memory(sft_setting(precision="fp16")) == arm_memory(sft_setting(precision="bf16"))


def test_two_processes_halve_the_shards_and_gather_the_base() -> None:
    memory = arm_memory(sft_setting(resources={"gpus_per_node": 2}))
    assert (memory.base, memory.gathered) == (1704, 3408)
    assert memory.optimizer == 4 * ADAPTER


def test_on_cpu_everything_has_four_bytes() -> None:
    memory = arm_memory(sft_setting(resources={"gpus_per_node": 0}))
    assert (memory.base, memory.adapter, memory.master) == (2 * 3408, 4 * ADAPTER, 0)
    assert memory.runtime == RUNTIME_BYTES["cpu"] + IMPORTED_BYTES["cpu"]
    moment = 16 * (2 * layer_in_fp32() - 36 + 36 + 4 * (8 + 8)) + memory.logits
    assert memory.allocator == round(KEPT_BY_ALLOCATOR["cpu"] * moment)
    standing = memory.base + 20 * ADAPTER + 4 * 64 + memory.runtime
    assert memory.peak == standing + moment + memory.allocator


def layer_in_fp32() -> int:
    """As LAYER, with four bytes in place of two."""
    return 72 + 4 * (24 + 8 + 8) + 8 + 4 * (48 + 8 + 16) + 4 * 14
