"""Shards, gathered weights and the adapter's states, by hand."""

import pytest
from tests.paft_cli.estimates.shapes import SEVEN_B, llama_tensors, tiny_base

from paft_api.spec.training import SftTrainingSpec
from paft_cli.estimates.base_shape import base_shape
from paft_cli.estimates.zero3 import (
    AdapterMemory,
    adapter_memory,
    gathered_bytes,
    sharded_bytes,
    zero_settings,
)

SETTINGS = zero_settings(SftTrainingSpec(), 8)


def test_settings_are_deepspeeds_defaults_and_what_transformers_fills_in() -> None:
    assert (SETTINGS.reuse_distance, SETTINGS.reduce_bucket, SETTINGS.prefetch) == (10**9, 64, 57)
    assert not SETTINGS.offloads_parameters
    assert not SETTINGS.offloads_optimizer


def test_settings_follow_the_jobs_overrides() -> None:
    zero = {
        "stage3_max_reuse_distance": 1e6,
        "reduce_bucket_size": 500,
        "stage3_prefetch_bucket_size": "auto",
        "offload_param": {"device": "cpu"},
        "offload_optimizer": {"device": "none"},
    }
    settings = zero_settings(SftTrainingSpec(deepspeed={"zero_optimization": zero}), 8)
    assert (settings.reuse_distance, settings.reduce_bucket, settings.prefetch) == (1_000_000, 500, 57)
    assert settings.offloads_parameters
    assert not settings.offloads_optimizer


@pytest.mark.parametrize(("processes", "wanted"), [(1, 3408), (2, 1704), (3, 1136), (5, 682)])
def test_shards_are_equal_and_rounded_up(processes: int, wanted: int) -> None:
    assert sharded_bytes(1704, processes=processes, element_bytes=2) == wanted


def test_one_process_gathers_nothing() -> None:
    assert gathered_bytes(tiny_base(), SETTINGS, processes=1, element_bytes=2, uses_per_pass=2) == 0


def test_a_base_below_the_reuse_distance_becomes_whole() -> None:
    assert gathered_bytes(tiny_base(), SETTINGS, processes=2, element_bytes=2, uses_per_pass=2) == 2 * 1704


def test_of_a_large_base_the_upper_layers_stay_whole() -> None:
    base = base_shape(SEVEN_B, llama_tensors(SEVEN_B))
    settings = zero_settings(SftTrainingSpec(), 4096)
    largest, prefetched = 32768 * 4096, int(0.9 * 4096**2)
    gathered = gathered_bytes(base, settings, processes=8, element_bytes=2, uses_per_pass=2)
    assert gathered == 2 * (500_000_000 + largest + prefetched)
    again = gathered_bytes(base, settings, processes=8, element_bytes=2, uses_per_pass=3)
    assert again == 2 * (333_333_333 + largest + prefetched)


def test_states_in_bf16_have_an_fp32_copy() -> None:
    assert adapter_memory(1000, SETTINGS, processes=2, element_bytes=2) == AdapterMemory(
        weights=1000, master=2000, gradients=2 * (500 + 64) + 2000, optimizer=4000
    )


def test_states_in_fp32_are_their_own_master() -> None:
    assert adapter_memory(1000, SETTINGS, processes=1, element_bytes=4) == AdapterMemory(
        weights=4000, master=0, gradients=4 * (1000 + 64) + 4000, optimizer=8000
    )


def test_an_optimizer_that_is_offloaded_takes_no_memory_of_the_device() -> None:
    settings = zero_settings(
        SftTrainingSpec(deepspeed={"zero_optimization": {"offload_optimizer": {"device": "cpu"}}}), 8
    )
    assert adapter_memory(1000, settings, processes=1, element_bytes=2) == AdapterMemory(
        weights=2000, master=0, gradients=2 * 1064, optimizer=0
    )
