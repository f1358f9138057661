"""DeepSpeed's configuration as a whole, and the overrides that are refused."""

import pytest

from paft_api.run_spec import World
from paft_api.spec.training import SftTrainingSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.training.deepspeed_configuration import computes_in_bf16, deepspeed_configuration

CPU = World(nodes=1, processes_per_node=2, device="cpu", gradient_accumulation_steps=4)
CUDA = World(nodes=2, processes_per_node=8, device="cuda", gradient_accumulation_steps=4)


def test_the_whole_configuration_on_cpu() -> None:
    assert deepspeed_configuration(SftTrainingSpec(global_batch_size=8), CPU) == {
        "train_batch_size": 8,
        "train_micro_batch_size_per_gpu": 4,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": 1.0,
        "bf16": {"enabled": False},
        "zero_optimization": {
            "stage": 3,
            "overlap_comm": False,
            "contiguous_gradients": True,
            "reduce_bucket_size": "auto",
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": False,
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 1_000_000_000,
        "wall_clock_breakdown": False,
    }


def test_cuda_computes_in_bf16_unless_told_otherwise() -> None:
    assert computes_in_bf16(SftTrainingSpec(), CUDA)
    assert not computes_in_bf16(SftTrainingSpec(precision="fp32"), CUDA)
    assert not computes_in_bf16(SftTrainingSpec(), CPU)
    assert computes_in_bf16(SftTrainingSpec(precision="bf16"), CPU)


def test_overrides_are_merged_into_ours() -> None:
    training = SftTrainingSpec(
        deepspeed={"zero_optimization": {"offload_param": {"device": "cpu"}}, "dump_state": True}
    )
    merged = deepspeed_configuration(training, CUDA)
    assert merged["zero_optimization"]["offload_param"] == {"device": "cpu"}
    assert merged["zero_optimization"]["stage"] == 3
    assert merged["dump_state"] is True


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"train_batch_size": 3}, "training.deepspeed.train_batch_size is set by training.globalBatchSize"),
        (
            {"zero_optimization": {"stage": 2}},
            "training.deepspeed.zero_optimization.stage is 2; the arms train with ZeRO-3 only",
        ),
        ({"zero_optimization": 3}, "training.deepspeed.zero_optimization is 3, not a map"),
        ({"optimizer": {"type": "Adam"}}, "training.deepspeed.optimizer is set by training.learningRate and sft.l1"),
    ],
)
def test_contradicting_overrides_are_refused(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        deepspeed_configuration(SftTrainingSpec(deepspeed=overrides), CPU)
    assert caught.value.message == message
    assert caught.value.remedy
