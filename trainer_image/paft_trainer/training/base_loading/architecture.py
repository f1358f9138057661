"""Which tensors of a checkpoint a model wants, and whether transformers would take them as they are (5.23).

What transformers does to a checkpoint between file and model is its own: it renames tensors, fuses experts, keeps
modules in fp32. It is asked for those rules; a checkpoint that they touch is loaded by transformers itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PretrainedConfig
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key
from transformers.utils.loading_report import LoadStateDictInfo

from paft_trainer.base.piece_index import IndexedTensor
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.foreign_documents import shown

_SPECIAL_SETTINGS = ("quantization_config", "fusion_config", "transformers_weights")
"""Entries of config.json that make transformers load in ways of their own."""
_REMEDY = "Save the model again with save_pretrained, and upload all of it to base.uri."
_SHOWN = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedTensor:
    """A tensor of the checkpoint and its places in the model.

    `names`: of one parameter, more than one where modules share it; or of one buffer.
    """

    tensor: str
    names: tuple[str, ...]
    is_parameter: bool


class OnlyTransformers(Exception):
    """This base can be loaded by transformers only, from a whole local copy. The message says why."""


def require_plain_configuration(configuration: PretrainedConfig) -> None:
    """Raises OnlyTransformers where config.json alone makes it a case for transformers."""
    settings = configuration.to_dict()
    found = next((name for name in _SPECIAL_SETTINGS if settings.get(name) is not None), None)
    if found is not None:
        raise OnlyTransformers(f"config.json sets {found}")
    if type(configuration).extra_files:
        raise OnlyTransformers(f"{type(configuration).__name__} has weights in files of their own")


def require_plain_names(model: Any, dtype: torch.dtype, tensors: Iterable[str]) -> None:
    """Raises OnlyTransformers where it would rename or convert tensors, or keep some of them in another dtype."""
    architecture = type(model).__name__
    if model._get_dtype_plan(dtype):
        raise OnlyTransformers(f"{architecture} keeps some modules in float32")
    for name, parameter in model.named_parameters():
        if parameter.dtype != dtype:
            raise OnlyTransformers(f"{architecture} keeps {name} in {parameter.dtype}")
    transforms = get_model_conversion_mapping(model)
    renamings = [one for one in transforms if isinstance(one, WeightRenaming)]
    converters = [one for one in transforms if isinstance(one, WeightConverter)]
    expected = model.state_dict()
    for name in tensors:
        renamed, pattern = rename_source_key(name, renamings, converters, model.base_model_prefix, expected)
        if pattern is not None:
            raise OnlyTransformers(f"it converts {shown(name)} into {shown(renamed)} of {architecture}")
        if renamed != name:
            raise OnlyTransformers(f"it renames {shown(name)} to {shown(renamed)} of {architecture}")


def tie_weights(model: Any, tensors: Mapping[str, IndexedTensor]) -> list[str]:
    """Tie what config.json ties, unless the checkpoint holds both with different values; then say so.

    That is what transformers does in one process. Under ZeRO-3 it compares empty tensors, and ties them all the same.
    """
    notices = []
    for target, source in list(model.all_tied_weights_keys.items()):
        if target in tensors and source in tensors and not _are_equal(tensors[target], tensors[source]):
            notices.append(f"{target} and {source} differ in the base, and are not tied though config.json ties them")
            del model.all_tied_weights_keys[target]
    model.tie_weights(recompute_mapping=False)
    return notices


def match_tensors(model: Any, tensors: Mapping[str, IndexedTensor], base_uri: str) -> list[WantedTensor]:
    """What goes where, once weights are tied.

    Raises ArtifactMismatch where tensors are missing, unexpected or of another shape, other than those that
    transformers ignores for this architecture; OnlyTransformers where it would initialise what is missing.
    """
    wanted = []
    found: set[str] = set()
    lacking: set[str] = set()
    for names, is_parameter in _places(model):
        tensor = next((name for name in names if name in tensors), None)
        found.update(names)
        if tensor is None:
            lacking.add(names[0])
        else:
            _require_shape(model, tensors[tensor], base_uri)
            wanted.append(WantedTensor(tensor=tensor, names=names, is_parameter=is_parameter))
    rest = LoadStateDictInfo(
        missing_keys=set(lacking),
        unexpected_keys=tensors.keys() - found,
        mismatched_keys=set(),
        error_msgs=[],
        conversion_errors={},
        skipped_pp_keys=set(),
    )
    model._adjust_missing_and_unexpected_keys(rest)
    architecture = type(model).__name__
    if rest.missing_keys:
        raise ArtifactMismatch(f"{base_uri} lacks {_some(rest.missing_keys)} of {architecture}", remedy=_REMEDY)
    if rest.unexpected_keys:
        raise ArtifactMismatch(
            f"{base_uri} holds {_some(rest.unexpected_keys)}, which {architecture} has no place for", remedy=_REMEDY
        )
    if lacking:
        raise OnlyTransformers(f"it initialises {_some(lacking)} of {architecture}, which the base lacks")
    return wanted


def _places(model: Any) -> list[tuple[tuple[str, ...], bool]]:
    """Names of every parameter, tied ones together, and of every buffer that checkpoints hold."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    places = [(tuple(group), True) for group in names.values()]
    parameters = {name for group, _ in places for name in group}
    return places + [((name,), False) for name in model.state_dict() if name not in parameters]


def _are_equal(one: IndexedTensor, other: IndexedTensor) -> bool:
    return (one.dtype, one.shape, one.sha256) == (other.dtype, other.shape, other.sha256)


def _require_shape(model: Any, tensor: IndexedTensor, base_uri: str) -> None:
    expected = tuple(model.get_parameter_or_buffer(tensor.name).shape)
    if tensor.shape != expected:
        raise ArtifactMismatch(
            f"{base_uri}: {shown(tensor.name)} has the shape {list(tensor.shape)}, but {type(model).__name__} with "
            f"this config.json needs {list(expected)}",
            remedy=_REMEDY,
        )


def _some(names: Iterable[str]) -> str:
    """The first few of them."""
    names = sorted(names)
    more = f" and {len(names) - _SHOWN} more tensors" if len(names) > _SHOWN else ""
    return ", ".join(shown(name) for name in names[:_SHOWN]) + more
