"""A model as transformers builds it, with the shapes of all parameters but no memory for them (transformers 5.23)."""

from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig
from transformers.initialization import no_init_weights, no_tie_weights
from transformers.modeling_utils import set_zero3_state


def open_configuration(folder: Path) -> PretrainedConfig:
    """The base's config.json."""
    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def build_empty_model(configuration: PretrainedConfig, folder: Path, dtype: torch.dtype) -> Any:
    """The model in evaluation mode: parameters on the meta device and not tied yet, buffers real.

    `folder`: with config.json and, where the base has one, generation_config.json.
    """
    configuration.name_or_path = str(folder)
    # Under DeepSpeed `from_config` enters zero.Init otherwise, which makes every parameter whole before it cuts it.
    with set_zero3_state(), no_init_weights(), no_tie_weights(), init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(configuration, dtype=dtype, trust_remote_code=False)
    model.adjust_generation_fn(
        generation_config=None,
        from_auto_class=True,
        from_pipeline=None,
        pretrained_model_name_or_path=str(folder),
        cache_dir=None,
        force_download=False,
        proxies=None,
        local_files_only=True,
        token=None,
        revision=None,
        subfolder="",
        trust_remote_code=False,
    )
    return model.eval()


def replace_parameter(model: Any, names: tuple[str, ...], parameter: torch.nn.Parameter) -> None:
    """Put one parameter in the place of all that are tied to each other, as one that is never to be initialised."""
    parameter._is_hf_initialized = True
    for name in names:
        module, _, attribute = name.rpartition(".")
        model.get_submodule(module)._parameters[attribute] = parameter
