"""mergekit's YAML (github.com/arcee-ai/mergekit, 0.1.5) as options of a merge, for the methods that both have.

Models are written as `base+adapter`; of the two the first is sft and the second preference. What a merge of two
adapters cannot express is refused rather than left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from paft_api.yaml_documents import FieldPath, Json
from paft_cli.merge_recipes.mergekit_settings import (
    NotExpressible,
    Setting,
    patterns_of,
    settings_in,
    the_one_number,
    until_all_is_set,
)

_DELTA_METHODS = ("task_arithmetic", "ties", "dare_linear", "dare_ties", "della", "breadcrumbs", "sce")
_METHODS = ("linear", "slerp", *_DELTA_METHODS)
_DROPPING = ("dare_linear", "dare_ties", "della")
_ELECTING = ("ties", "dare_ties", "della")
_OF_MODELS: Mapping[str, tuple[str, ...]] = {
    "weight": tuple(method for method in _METHODS if method not in ("slerp", "sce")),
    "density": ("ties", "breadcrumbs", *_DROPPING),
    "gamma": ("breadcrumbs",),
    "epsilon": ("della",),
}
"""Parameters of each model, and the methods that read them."""
_OF_THE_MERGE: Mapping[str, tuple[str, ...]] = {
    "t": ("slerp",),
    "select_topk": ("sce",),
    "normalize": tuple(method for method in _METHODS if method not in ("slerp", "sce")),
    "rescale": tuple(method for method in _DELTA_METHODS if method != "sce"),
    "lambda": tuple(method for method in _DELTA_METHODS if method != "sce"),
    # The type of masks in memory; the result has nothing of it.
    "int8_mask": _DELTA_METHODS,
}
"""Parameters of the merge as a whole."""
_DEFAULTS = {"density": 1.0, "gamma": 0.01, "epsilon": 0.15}
_FIELDS = ("merge_method", "base_model", "models", "parameters", "dtype", "tokenizer_source")
_INSTEAD = {
    "slices": "parts of models cannot be put together; write models, or weights with layers in a recipe of PAFT",
    "modules": "write models",
    "out_dtype": "the output has the base's dtype; remove it",
    "tokenizer": "the output has the base's tokenizer; remove it",
    "chat_template": "the output has the base's chat template; remove it",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MergekitRecipe:
    """What mergekit's YAML says.

    `options`: fields of MergeOptions, as in documents. `notes`: what is done otherwise, without another result in mind.
    """

    base: str
    sft: str
    preference: str
    options: dict[str, Json]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _ModelEntry:
    path: FieldPath
    adapter: str | None
    parameters: Json


def is_mergekit(document: Json) -> bool:
    """Whether a document is mergekit's."""
    return isinstance(document, dict) and "merge_method" in document


def read_mergekit(document: Mapping[str, Json]) -> MergekitRecipe:
    """Read a document of `mergekit-yaml`. Raises NotExpressible with the path of what a merge here cannot have."""
    for key in document:
        if key not in _FIELDS:
            raise NotExpressible((key,), _INSTEAD.get(key, "unknown field"))
    method = document["merge_method"]
    if not isinstance(method, str) or method not in _METHODS:
        raise NotExpressible(("merge_method",), f"{method} is none of the methods that can be read: {_list(_METHODS)}")
    base, models = _models(document, method)
    sft, preference = models
    assert sft.adapter is not None
    assert preference.adapter is not None
    parameters = document.get("parameters")
    _require_known(parameters, ("parameters",), method, [*_OF_MODELS, *_OF_THE_MERGE])
    options: dict[str, Json] = {"method": method, "preset": "mergekit"}
    options |= _slerp_weights(document, models) if method == "slerp" else {}
    options |= _arm_weights(models, parameters) if method in _OF_MODELS["weight"] else {}
    options |= _of_models(method, models, parameters) | _of_the_merge(method, parameters)
    return MergekitRecipe(
        base=base, sft=sft.adapter, preference=preference.adapter, options=options, notes=_notes(document)
    )


def _models(document: Mapping[str, Json], method: str) -> tuple[str, list[_ModelEntry]]:
    """The base and the two models with adapters."""
    written = document.get("models")
    if not isinstance(written, list):
        raise NotExpressible(("models",), "a list of two models is needed, each written as base+adapter")
    found: list[tuple[str, _ModelEntry]] = []
    for index, entry in enumerate(written):
        path = ("models", index)
        if not isinstance(entry, dict) or not {"model"} <= entry.keys() <= {"model", "parameters"}:
            raise NotExpressible(path, "an entry has model and parameters")
        base, adapter = _reference(entry["model"], (*path, "model"))
        if adapter is not None:
            _require_known(entry.get("parameters"), (*path, "parameters"), method, list(_OF_MODELS))
        found.append((base, _ModelEntry(path, adapter, entry.get("parameters"))))
    bases = {base for base, _ in found}
    own = document.get("base_model")
    if own is not None:
        base, adapter = _reference(own, ("base_model",))
        bases.add(base)
        _require_base(method, adapter, found)
        if method == "slerp" and all(entry.adapter != adapter for _, entry in found):
            found.insert(0, (base, _ModelEntry(("base_model",), adapter, None)))
    elif method != "linear":
        raise NotExpressible(("base_model",), f"{method} needs it")
    models = [entry for _, entry in found if entry.adapter is not None or method in ("linear", "slerp")]
    without = next((entry for entry in models if entry.adapter is None), None)
    if without is not None:
        raise NotExpressible((*without.path, "model"), f"with {method} each model needs an adapter: write base+adapter")
    if len(models) != 2:
        raise NotExpressible(("models",), f"{len(models)} models with adapters; exactly 2 can be merged")
    if len(bases) > 1:
        raise NotExpressible(("models",), f"adapters of different bases ({_list(sorted(bases))}) cannot be merged")
    return bases.pop(), models


def _reference(value: Json, path: FieldPath) -> tuple[str, str | None]:
    """Base and adapter of `base+adapter`."""
    if not isinstance(value, str) or not value:
        raise NotExpressible(path, "write the model as text: base, or base+adapter")
    base, separator, adapter = value.partition("+")
    if "+" in adapter or (separator and not (base and adapter)):
        raise NotExpressible(path, f"{value} is not of the form base+adapter")
    if "@" in value:
        raise NotExpressible(path, f"{value} names a revision; write the address of a folder that holds it")
    return base, adapter or None


def _require_base(method: str, adapter: str | None, found: list[tuple[str, _ModelEntry]]) -> None:
    if method == "linear":
        if adapter is None or all(entry.adapter != adapter for _, entry in found):
            raise NotExpressible(("base_model",), "with linear it would be a model of its own in the mean; remove it")
    elif method == "slerp":
        if adapter is None:
            raise NotExpressible(("base_model",), "with slerp it is one end of the arc: write base+adapter")
    elif adapter is not None:
        raise NotExpressible(("base_model",), "deltas are those from the base itself; write it without an adapter")


def _require_known(parameters: Json, path: FieldPath, method: str, known: list[str]) -> None:
    if parameters is None:
        return
    if not isinstance(parameters, dict):
        raise NotExpressible(path, "a map of parameters is needed")
    for name in parameters:
        methods = (*_OF_MODELS.get(name, ()), *_OF_THE_MERGE.get(name, ()))
        if method not in methods:
            reason = f"it has no effect with {method}; remove it" if methods else "unknown parameter"
            raise NotExpressible((*path, name), reason)
        if name not in known:
            raise NotExpressible((*path, name), "it is read for the merge as a whole only; move it to parameters")


def _arm_weights(models: list[_ModelEntry], parameters: Json) -> dict[str, Json]:
    arms = []
    for model in models:
        path = (*model.path, "parameters")
        settings = [
            *settings_in(model.parameters, "weight", path),
            *settings_in(parameters, "weight", ("parameters",)),
        ]
        arms.append(until_all_is_set(settings, missing=(*path, "weight")))
    sft, preference = _with_the_same_filters(*arms)
    return _weights([(one.filter, *_of_one_length(one, other)) for one, other in zip(sft, preference, strict=True)])


def _slerp_weights(document: Mapping[str, Json], models: list[_ModelEntry]) -> dict[str, Json]:
    """t is how far along the way from base_model to the other model."""
    settings = list(settings_in(document.get("parameters"), "t", ("parameters",)))
    _, start = _reference(document["base_model"], ("base_model",))
    rows = []
    for setting in until_all_is_set(settings, missing=("parameters", "t")):
        if not all(0 <= t <= 1 for t in setting.anchors):
            raise NotExpressible(setting.path, "t lies outside of 0 to 1")
        ends = (tuple(1 - t for t in setting.anchors), setting.anchors)
        rows.append((setting.filter, *(ends if models[0].adapter == start else ends[::-1])))
    return _weights(rows)


def _with_the_same_filters(sft: list[Setting], preference: list[Setting]) -> tuple[list[Setting], list[Setting]]:
    if [setting.filter for setting in sft] == [setting.filter for setting in preference]:
        return sft, preference
    if len(sft) == 1:
        return [Setting(one.path, one.filter, sft[0].anchors) for one in preference], preference
    if len(preference) == 1:
        return sft, [Setting(one.path, one.filter, preference[0].anchors) for one in sft]
    raise NotExpressible(preference[0].path, "both models need the same filters in the same order")


def _of_one_length(one: Setting, other: Setting) -> tuple[tuple[float, ...], tuple[float, ...]]:
    lengths = {len(setting.anchors) for setting in (one, other)} - {1}
    if len(lengths) > 1:
        raise NotExpressible(other.path, "the gradients of both models need equally many anchors")
    length = max(lengths, default=1)
    sft, preference = (
        setting.anchors * length if len(setting.anchors) == 1 else setting.anchors for setting in (one, other)
    )
    return sft, preference


def _weights(rows: list[tuple[str | None, tuple[float, ...], tuple[float, ...]]]) -> dict[str, Json]:
    """Entries of weights. There the last that fits holds, in mergekit the first."""
    entries: list[Json] = []
    for text, sft, preference in reversed(rows):
        anchors: list[Json] = [{"sft": a, "preference": b} for a, b in zip(sft, preference, strict=True)]
        for pattern in [None] if text is None else patterns_of(text):
            where: dict[str, Json] = {} if pattern is None else {"modules": pattern}
            numbers: dict[str, Json] = {"sft": sft[0], "preference": preference[0]}
            entries.append(where | (numbers if len(anchors) == 1 else {"gradient": anchors}))
    return {"weights": entries}


def _of_models(method: str, models: list[_ModelEntry], parameters: Json) -> dict[str, Json]:
    options: dict[str, Json] = {}
    for name, default in _DEFAULTS.items():
        if method not in _OF_MODELS[name]:
            continue
        written = [
            [
                *settings_in(model.parameters, name, (*model.path, "parameters")),
                *settings_in(parameters, name, ("parameters",)),
            ]
            for model in models
        ]
        sft, preference = (the_one_number(settings, default) for settings in written)
        if sft != preference:
            place = next(settings[0].path for settings in reversed(written) if settings)
            raise NotExpressible(place, f"{name} is {sft} for one model and {preference} for the other; give both one")
        if any(written):
            options[name] = sft
    return options


def _of_the_merge(method: str, parameters: Json) -> dict[str, Json]:
    given = parameters if isinstance(parameters, dict) else {}
    options: dict[str, Json] = {}
    for name, option in (("lambda", "lambda"), ("select_topk", "density")):
        if name in given:
            options[option] = the_one_number(list(settings_in(given, name, ("parameters",))), 1.0)
    normalize = _flag(given, "normalize")
    if normalize is not None and method in _ELECTING:
        options["normalize"] = normalize
    elif normalize is not None and normalize != (method == "linear"):
        remedy = "use task_arithmetic" if method == "linear" else "use linear, or lambda"
        raise NotExpressible(("parameters", "normalize"), f"{method} has no such choice; {remedy}")
    rescale = _flag(given, "rescale")
    if rescale is not None and method in _DROPPING:
        options["rescale"] = "Norm" if rescale else "None"
    elif rescale:
        raise NotExpressible(("parameters", "rescale"), f"{method} does not rescale; remove it, or use lambda")
    return options


def _flag(parameters: Mapping[str, Json], name: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise NotExpressible(("parameters", name), f"{value} is not true or false")
    return value


def _notes(document: Mapping[str, Json]) -> tuple[str, ...]:
    if document.get("tokenizer_source", "base") != "base":
        raise NotExpressible(("tokenizer_source",), "the output has the base's tokenizer; remove it")
    dtype = document.get("dtype")
    if dtype is None:
        return ()
    return (f"dtype {dtype} is not used: deltas are fp32, and the output has the base's dtype",)


def _list(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(words)
