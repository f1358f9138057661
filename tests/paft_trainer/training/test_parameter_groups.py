"""How an optimizer's parameters are grouped: learning rates, decay, and what is penalised."""

import torch
from peft import get_peft_model
from peft.optimizers import create_loraplus_optimizer
from tests.paft_trainer.training.test_adapter_targets import tiny_model

from paft_api.spec.lora import LoraSpec
from paft_api.spec.training import SftTrainingSpec
from paft_trainer.training.adapter_state import adapter_parameters
from paft_trainer.training.adapter_targets import adapter_configuration
from paft_trainer.training.optimizers import plain_optimizer
from paft_trainer.training.parameter_groups import Factor, factor_of, parameter_groups

TRAINING = SftTrainingSpec(learning_rate=1e-3, weight_decay=0.1)


def adapted(lora: LoraSpec) -> torch.nn.Module:
    model = tiny_model()
    return get_peft_model(model, adapter_configuration(model, lora))


def test_pefts_names_tell_the_factor() -> None:
    assert factor_of("base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight") is Factor.A
    assert factor_of("base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight") is Factor.B
    assert factor_of("base_model.model.model.norm.modules_to_save.default.weight") is None


def test_every_trained_parameter_is_in_one_group() -> None:
    lora = LoraSpec(r=4, rank_pattern={"q_proj": 2}, modules_to_save=("norm", "lm_head"), loraplus_lr_ratio=16)
    model = adapted(lora)

    groups = parameter_groups(model, TRAINING, lora)

    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for _, parameter in adapter_parameters(model))
    assert [(group["factor"], group["lr"], group["weight_decay"]) for group in groups] == [
        (Factor.A, 1e-3, 0.1),
        # Of rank 2, then of rank 4.
        (Factor.B, 16e-3, 0.1),
        (Factor.B, 16e-3, 0.1),
        # Norms do not decay.
        (None, 1e-3, 0.0),
        (None, 1e-3, 0.1),
    ]
    assert [{parameter.shape[-1] for parameter in group["params"]} for group in groups[1:3]] == [{2}, {4}]


def test_lora_plus_is_pefts() -> None:
    """Both take three steps from the same start on the same batch."""
    lora = LoraSpec(r=4, loraplus_lr_ratio=16)
    tokens = torch.arange(12)[None]
    trained = []
    for is_ours in (True, False):
        torch.manual_seed(0)
        model = adapted(lora)
        if is_ours:
            optimizer_class, options = plain_optimizer(model, TRAINING, lora)
            optimizer = optimizer_class(options.pop("params"), **options)
        else:
            optimizer = create_loraplus_optimizer(
                model, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=16, loraplus_weight_decay=0.1
            )
        for _ in range(3):
            model(input_ids=tokens, labels=tokens).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        trained.append({name: parameter.detach() for name, parameter in adapter_parameters(model)})

    ours, theirs = trained
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_an_adapter_of_factors_alone_has_the_trainers_own_groups() -> None:
    lora = LoraSpec(r=4)

    assert "params" not in plain_optimizer(adapted(lora), TRAINING, lora)[1]
