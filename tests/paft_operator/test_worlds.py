"""How many processes each arm gets on one machine, and whether both can run at a time."""

import json

import pytest
from tests.paft_operator.planner.situations import job

from paft_api.spec.job import PaftJobSpec
from paft_api.stages import StageName
from paft_operator.worlds import local_worlds, take_turns

_, SFT, PREFERENCE, _ = StageName


def spec(*, sft: int, preference: int) -> PaftJobSpec:
    """A job whose arms ask for so many GPUs."""
    document = job().spec.to_document()
    for arm, gpus in (("sft", sft), ("preference", preference)):
        document[arm]["resources"] = {"nodes": 1, "gpusPerNode": gpus}
    return PaftJobSpec.model_validate_json(json.dumps(document))


@pytest.mark.parametrize(
    ("wanted", "devices", "sft_devices", "preference_devices", "in_turn"),
    [
        ((1, 1), (0, 1), (0,), (1,), False),
        ((1, 1), (0,), (0,), (0,), True),
        ((2, 1), (0, 1, 2), (0, 1), (2,), False),
        ((2, 1), (4, 6, 7), (4, 6), (7,), False),
        ((2, 1), (0, 1), (0, 1), (0,), True),
        ((4, 4), (0, 1), (0, 1), (0, 1), True),
        ((1, 1), (0, 1, 2, 3), (0,), (1,), False),
        ((1, 0), (0,), (0,), None, False),
        ((0, 0), (0, 1), None, None, False),
        ((1, 1), (), None, None, False),
    ],
)
def test_gpus_are_shared_out_where_there_are_enough(
    wanted: tuple[int, int],
    devices: tuple[int, ...],
    sft_devices: tuple[int, ...] | None,
    preference_devices: tuple[int, ...] | None,
    in_turn: bool,
) -> None:
    worlds = local_worlds(spec(sft=wanted[0], preference=wanted[1]), cuda_devices=devices, cpus=8)

    assert worlds[SFT].visible_devices == sft_devices
    assert worlds[PREFERENCE].visible_devices == preference_devices
    assert take_turns(worlds) is in_turn


def test_the_global_batch_is_kept_on_fewer_devices() -> None:
    worlds = local_worlds(spec(sft=8, preference=8), cuda_devices=(0, 1), cpus=8)

    batch = job().spec.sft.training.global_batch_size
    assert worlds[SFT].processes * worlds[SFT].gradient_accumulation_steps == batch


def test_nothing_takes_turns_where_pods_have_devices_of_their_own() -> None:
    assert take_turns({}) is False
