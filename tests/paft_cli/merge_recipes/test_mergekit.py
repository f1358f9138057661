"""mergekit's YAML means here what it means there; mergekit itself says what that is."""

import fnmatch
import warnings
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.paft_cli.merge_recipes.mergekit_files import FILES, SLERP, TASK_ARITHMETIC, TIES

from paft_api.spec.merge import MergeOptions
from paft_api.spec.merge_methods import METHODS_WITH
from paft_cli.merge_recipes.mergekit import MergekitRecipe, read_mergekit
from paft_cli.merge_recipes.mergekit_settings import NotExpressible, patterns_of

LAYERS = 9
PROJECTIONS = [*(f"self_attn.{name}_proj" for name in "qkvo"), *(f"mlp.{name}_proj" for name in ("gate", "up", "down"))]
MODULES = [
    ("model.embed_tokens", None),
    ("lm_head", None),
    *((f"model.layers.{layer}.{name}", layer) for layer in range(LAYERS) for name in PROJECTIONS),
]


class Mergekit(NamedTuple):
    """Parts of mergekit."""

    config: ModuleType
    registry: Any
    resolve: Any


@pytest.fixture(scope="module")
def mergekit() -> Mergekit:
    """mergekit 0.1.5, which touches parts of numpy that have other names now."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mergekit.config
        import mergekit.merge_methods
        import mergekit.parameter_resolver

    return Mergekit(mergekit.config, mergekit.merge_methods, mergekit.parameter_resolver.resolve_parameters)


@pytest.mark.parametrize("method", FILES)
def test_weights_and_options_are_mergekits(method: str, mergekit: Mergekit) -> None:
    document = yaml.safe_load(FILES[method])
    recipe = read_mergekit(document)
    options = MergeOptions.model_validate(recipe.options, strict=False)

    assert (recipe.base, recipe.sft, recipe.preference) == ("models/base", "adapters/chat", "adapters/aligned")
    for module, layer in MODULES:
        shared, of_models = _their_parameters(mergekit, document, recipe, module, layer)
        sft, preference = _our_weights(options, module, layer)
        if "t" in shared:
            # At 0 it is base_model, which is the preference arm in this file.
            assert (sft, preference) == pytest.approx((shared["t"], 1 - shared["t"]))
        elif "weight" in of_models[0]:
            assert (sft, preference) == pytest.approx([one["weight"] for one in of_models])
        assert _differences(options, shared, of_models[0]) == {}
        assert _differences(options, shared, of_models[1]) == {}


def test_of_slerp_whose_start_is_not_among_the_models_that_is_sft() -> None:
    document = yaml.safe_load(SLERP)
    document["models"] = document["models"][:1]
    document["parameters"] = {"t": 0.25}

    recipe = read_mergekit(document)

    assert (recipe.sft, recipe.preference) == ("adapters/aligned", "adapters/chat")
    assert recipe.options["weights"] == [{"sft": 0.75, "preference": 0.25}]


def test_what_is_done_otherwise_is_told() -> None:
    assert read_mergekit(yaml.safe_load(TIES)).notes == (
        "dtype float16 is not used: deltas are fp32, and the output has the base's dtype",
    )
    assert read_mergekit(yaml.safe_load(TASK_ARITHMETIC)).notes == ()


REFUSED: dict[str, tuple[str, dict[str, Any], tuple[str | int, ...], str]] = {
    "another method": ("ties", {"merge_method": "karcher"}, ("merge_method",), "karcher is none of the methods"),
    "slices": ("ties", {"slices": []}, ("slices",), "parts of models cannot be put together"),
    "modules": ("ties", {"modules": {}}, ("modules",), "write models"),
    "a dtype of the output": ("ties", {"out_dtype": "float32"}, ("out_dtype",), "has the base's dtype"),
    "a tokenizer": ("ties", {"tokenizer_source": "union"}, ("tokenizer_source",), "has the base's tokenizer"),
    "an unknown field": ("ties", {"merge_metod": "ties"}, ("merge_metod",), "unknown field"),
    "no models": ("ties", {"models": None}, ("models",), "a list of two models is needed"),
    "one adapter": ("ties", {"models": [{"model": "models/base+a"}]}, ("models",), "1 models with adapters"),
    "three adapters": (
        "sce",
        {"models": [{"model": f"models/base+{name}"} for name in "abc"]},
        ("models",),
        "3 models with adapters",
    ),
    "a model without an adapter": (
        "linear",
        {"models": [{"model": "models/base"}, {"model": "models/base+a"}]},
        ("models", 0, "model"),
        "write base+adapter",
    ),
    "two bases": (
        "sce",
        {"models": [{"model": "models/base+a"}, {"model": "models/other+b"}]},
        ("models",),
        "adapters of different bases",
    ),
    "a revision": ("ties", {"base_model": "org/base@main"}, ("base_model",), "names a revision"),
    "two adapters in one model": ("ties", {"base_model": "base+a+b"}, ("base_model",), "not of the form base+adapter"),
    "a base with an adapter": ("ties", {"base_model": "models/base+a"}, ("base_model",), "without an adapter"),
    "a base that would be merged": ("linear", {"base_model": "models/base"}, ("base_model",), "in the mean"),
    "an arc from the base": ("slerp", {"base_model": "models/base"}, ("base_model",), "one end of the arc"),
    "no base": ("ties", {"base_model": None}, ("base_model",), "ties needs it"),
    "an entry of a model": ("ties", {"models": [{"path": "x"}]}, ("models", 0), "an entry has model and parameters"),
    "a parameter of another method": (
        "ties",
        {"parameters": {"epsilon": 0.1}},
        ("parameters", "epsilon"),
        "it has no effect with ties",
    ),
    "an unknown parameter": ("ties", {"parameters": {"densty": 1}}, ("parameters", "densty"), "unknown parameter"),
    "a parameter at the wrong place": (
        "sce",
        {"models": [{"model": "models/base+a", "parameters": {"select_topk": 1}}, {"model": "models/base+b"}]},
        ("models", 0, "parameters", "select_topk"),
        "move it to parameters",
    ),
    "no weight for some modules": (
        "della",
        {"parameters": {"weight": 1}, "models": [{"model": "models/base+a"}, {"model": "models/base+b"}]}
        | {"parameters": {"weight": [{"filter": "mlp", "value": 1}]}},
        ("models", 0, "parameters", "weight"),
        "weight is needed for all tensors",
    ),
    "a weight that is none": (
        "dare_linear",
        {"parameters": {"weight": "half"}},
        ("parameters", "weight"),
        "half is neither a number nor a list of numbers",
    ),
    "densities of two kinds": (
        "della",
        {
            "models": [
                {"model": "models/base+a", "parameters": {"weight": 1, "density": 0.5}},
                {"model": "models/base+b", "parameters": {"weight": 1, "density": 0.6}},
            ]
        },
        ("models", 1, "parameters", "density"),
        "density is 0.5 for one model and 0.6 for the other",
    ),
    "a density for some layers": (
        "breadcrumbs",
        {"parameters": {"density": [0.5, 1.0]}},
        ("parameters", "density"),
        "can be read for weight and t only",
    ),
    "filters of two kinds": (
        "sce",
        {
            "merge_method": "dare_linear",
            "parameters": {},
            "models": [
                {
                    "model": f"models/base+{name}",
                    "parameters": {"weight": [{"filter": name, "value": 1}, {"value": 0.5}]},
                }
                for name in ("mlp", "self_attn")
            ],
        },
        ("models", 1, "parameters", "weight", 0),
        "the same filters in the same order",
    ),
    "gradients of two lengths": (
        "sce",
        {
            "merge_method": "dare_linear",
            "parameters": {},
            "models": [
                {"model": f"models/base+{name}", "parameters": {"weight": [0.5] * length}}
                for name, length in (("a", 2), ("b", 3))
            ],
        },
        ("models", 1, "parameters", "weight"),
        "equally many anchors",
    ),
    "a sum that is not normalised": (
        "linear",
        {"parameters": {"normalize": False}},
        ("parameters", "normalize"),
        "use task_arithmetic",
    ),
    "a mean of what is dropped": (
        "dare_linear",
        {"parameters": {"weight": 1, "normalize": True}},
        ("parameters", "normalize"),
        "use linear",
    ),
    "a rescaled trim": ("ties", {"parameters": {"rescale": True}}, ("parameters", "rescale"), "ties does not rescale"),
    "a word for a choice": ("ties", {"parameters": {"normalize": 1}}, ("parameters", "normalize"), "true or false"),
    "no t": ("slerp", {"parameters": {}}, ("parameters", "t"), "t is needed for all tensors"),
    "a t beyond the ends": ("slerp", {"parameters": {"t": 1.5}}, ("parameters", "t"), "outside of 0 to 1"),
    "a condition without a value": (
        "slerp",
        {"parameters": {"t": [{"filter": "mlp"}]}},
        ("parameters", "t", 0),
        "has value and",
    ),
    "a filter that is no text": (
        "slerp",
        {"parameters": {"t": [{"filter": 3, "value": 1}]}},
        ("parameters", "t", 0, "filter"),
        "3 is not text",
    ),
}
"""The file, what is changed in it, and what is said where."""


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_expressed_is_named(case: str) -> None:
    method, changes, path, message = REFUSED[case]
    document = {key: value for key, value in (yaml.safe_load(FILES[method]) | changes).items() if value is not None}

    with pytest.raises(NotExpressible) as caught:
        read_mergekit(document)

    assert caught.value.path == path
    assert message in str(caught.value)


@given(module=st.sampled_from([module for module, _ in MODULES]), data=st.data())
def test_patterns_fit_what_a_filter_fits(module: str, data: st.DataObject) -> None:
    tensor = f"{module}.weight"
    start = data.draw(st.integers(0, len(tensor) - 1))
    text = tensor[start : data.draw(st.integers(start + 1, len(tensor)))]

    for other, _ in MODULES:
        fits = any(fnmatch.fnmatchcase(other, pattern) for pattern in patterns_of(text))
        assert fits == (text in f"{other}.weight") or text in ".weight"


def test_characters_of_patterns_are_literal_in_a_filter() -> None:
    assert patterns_of("a*b[0]?") == ["*a[*]b[[]0][?]*"]


def _our_weights(options: MergeOptions, module: str, layer: int | None) -> tuple[float, float]:
    """As the contract describes weights: the last entry that fits, with gradients over all layers."""
    entry = [one for one in options.weights if one.modules is None or fnmatch.fnmatchcase(module, one.modules)][-1]
    position = (layer or 0) / (LAYERS - 1) * (len(entry.anchors) - 1)
    first = min(int(position), len(entry.anchors) - 1)
    last, share = min(first + 1, len(entry.anchors) - 1), position - first
    a, b = entry.anchors[first], entry.anchors[last]
    return a.sft + share * (b.sft - a.sft), a.preference + share * (b.preference - a.preference)


def _their_parameters(
    mergekit: Mergekit, document: dict[str, Any], recipe: MergekitRecipe, module: str, layer: int | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What mergekit takes for a tensor: parameters of the merge, and those of both models."""
    configuration = mergekit.config.MergeConfiguration.model_validate(document)
    by_reference = {str(one.model): one for one in configuration.models}
    models = [by_reference[f"{recipe.base}+{adapter}"] for adapter in (recipe.sft, recipe.preference)]

    def sources(model: Any) -> list[Any]:
        own = [one.parameters for one in configuration.models if one.model == model]
        return [*own, configuration.parameters]

    shared, per_input = mergekit.resolve(
        mergekit.registry.get(document["merge_method"]).spec,
        tensor_name=f"{module}.weight",
        inputs={one.model: f"{module}.weight" for one in models},
        sources=sources,
        base_model=configuration.base_model,
        t=0 if layer is None else layer / (LAYERS - 1),
    )
    return shared, [per_input[one.model] for one in models]


def _differences(options: MergeOptions, shared: dict[str, Any], of_model: dict[str, Any]) -> dict[str, Any]:
    """Options that act here and are not what mergekit takes."""
    ours = options.resolved()
    theirs = shared | of_model
    theirs["density"] = theirs.get("select_topk", theirs.get("density"))
    theirs["rescale"] = "Norm" if theirs.get("rescale") else "None"
    names = [*(name for name in METHODS_WITH if options.method in METHODS_WITH[name]), "lambda"]
    return {
        name: (ours[name], theirs[name])
        for name in names
        if name in ours and name in theirs and ours[name] != theirs[name]
    }
