"""mergekit.yaml: the same merge for mergekit 0.1.5 (https://github.com/arcee-ai/mergekit), as far as it can say it.

What differs is named in comments: by what each tool means, and by options that mergekit does not have.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from paft_api.spec.merge_methods import DROPS_AT_RANDOM, ELECTS_SIGNS, ONE_ARM, MergeMethod
from paft_api.spec.merge_options import MergeOptions
from paft_api.spec.merge_weights import ArmWeights

ARMS = ("sft", "preference")

_ALWAYS = "deltas are taken of weights rounded to the base's dtype, which loses small ones"
_OF_METHODS = {
    MergeMethod.SLERP: "the arc lies between whole weights, not between deltas",
    MergeMethod.SCE: "shares of entries are of those that are not 0",
    MergeMethod.MODEL_STOCK: "opposed deltas are turned round, where PAFT keeps the base",
}
_SUBSTRING = re.compile(r"\*([^*?\[\]]+)\*")


def mergekit_recipe(options: MergeOptions, recipe: Mapping[str, Any]) -> bytes | None:
    """The file; None for the controls, which are no merges of mergekit."""
    if options.method in ONE_ARM:
        return None
    differences = [_ALWAYS, *_differences(options)]
    models = {arm: f"{_path(recipe['base']['uri'])}+{_path(recipe['adapters'][arm]['uri'])}" for arm in ARMS}
    if any(reference.startswith("s3:") or reference.count("+") > 1 for reference in models.values()):
        differences.append(
            "mergekit reads local folders whose names have no + and no @: copy base and adapters, and "
            "change the paths here"
        )
    parameters, of_models, left_out = _parameters(options)
    document: dict[str, Any] = {
        "merge_method": options.method.value,
        "base_model": models["sft"] if options.method is MergeMethod.SLERP else _path(recipe["base"]["uri"]),
        "models": [{"model": models[arm]} | of_models[arm] for arm in ARMS],
    }
    if options.method is MergeMethod.LINEAR:
        # There a base is one of the models whose mean is taken.
        del document["base_model"]
    if parameters:
        document["parameters"] = parameters
    comments = ["The same merge for mergekit 0.1.5. What differs from PAFT's:", *differences, *left_out]
    head = "".join(f"# {'' if index == 0 else '- '}{comment}\n" for index, comment in enumerate(comments))
    return (head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)).encode()


def _differences(options: MergeOptions) -> list[str]:
    resolved = options.resolved()
    found = [_OF_METHODS[options.method]] if options.method in _OF_METHODS and not options.is_mergekit else []
    if options.method in DROPS_AT_RANDOM:
        found.append("entries are dropped by torch's generator, so that other ones go for the same seed")
        if resolved["rescale"] == "Density":
            found.append("what stays is rescaled to the same sum of magnitudes, not by 1 / density")
    if options.method in ELECTS_SIGNS and not options.is_mergekit:
        found.append("votes in exact balance elect plus, and weights are divided with their signs")
    for name, default in (("densityScope", "Tensor"), ("balance", "None"), ("election", "Weighted")):
        if resolved.get(name, default) != default:
            found.append(f"{name} {resolved[name]} is not known there and left out")
    if options.lambda_ != 1 and options.method in _WITHOUT_LAMBDA:
        found.append(f"lambda {options.lambda_} is not known there with this method and left out")
    return found


_WITHOUT_LAMBDA = frozenset({MergeMethod.LINEAR, MergeMethod.SLERP, MergeMethod.SCE, MergeMethod.MODEL_STOCK})


def _parameters(options: MergeOptions) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Of all models, of each arm's, and what cannot be said."""
    resolved = options.resolved()
    match options.method:
        case MergeMethod.MODEL_STOCK:
            return {"filter_wise": False}, {arm: {} for arm in ARMS}, []
        case MergeMethod.SCE:
            return {"select_topk": resolved["density"]}, {arm: {} for arm in ARMS}, []
        case MergeMethod.SLERP:
            t, left_out = _setting(options.weights, lambda one: one.preference / (one.sft + one.preference))
            return {"t": t}, {arm: {} for arm in ARMS}, left_out
    of_models: dict[str, dict[str, Any]] = {}
    left_out: list[str] = []
    for arm in ARMS:
        weight, left_out = _setting(options.weights, lambda one, arm=arm: getattr(one, arm))
        of_models[arm] = {"parameters": {"weight": weight}}
        for name in ("density", "gamma", "epsilon"):
            if name in resolved:
                of_models[arm]["parameters"][name] = resolved[name]
    parameters: dict[str, Any] = {"normalize": resolved.get("normalize", options.method is MergeMethod.LINEAR)}
    if options.method not in _WITHOUT_LAMBDA:
        parameters["lambda"] = options.lambda_
    if options.method in DROPS_AT_RANDOM:
        parameters["rescale"] = resolved["rescale"] != "None"
    return parameters, of_models, left_out


def _setting(entries: Sequence[ArmWeights], value: Any) -> tuple[Any, list[str]]:
    """Values of one parameter by filters, the first of which holds there, where the last holds here."""
    conditions: list[dict[str, Any]] = []
    left_out = []
    for index, entry in enumerate(entries):
        found = _SUBSTRING.fullmatch(entry.modules) if entry.modules is not None else None
        if entry.layers is not None or (entry.modules is not None and found is None):
            left_out.append(
                f"weights[{index}] is for some layers or by a pattern, which filters cannot say, and left out"
            )
            continue
        setting = [value(anchor) for anchor in entry.gradient] if entry.gradient is not None else value(entry)
        conditions.insert(0, {"value": setting} | ({} if found is None else {"filter": found[1]}))
    if len(conditions) == 1:
        return conditions[0]["value"], left_out
    return conditions, left_out


def _path(uri: str) -> str:
    parts = urlsplit(uri)
    return (unquote(parts.path) if parts.scheme == "file" else uri).rstrip("/")
