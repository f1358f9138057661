"""The report against numpy in float64, and each warning with what provokes it and what does not."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from tests.merged_matrices import base_bytes, factors_of, merge_factors, options_of, random_factors

from paft_api.spec.merge import MergeOptions
from paft_trainer.adapters import Factors
from paft_trainer.merge.interference import TensorFigures, interference_report

Matrix = np.ndarray
DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
MODULES = ("model.layers.0.q_proj", "model.layers.0.up_proj", "model.layers.10.q_proj", "lm_head")


def sparse(seed: int, *, share: float = 0.7, scale: float = 0.01) -> Matrix:
    generator = np.random.default_rng(seed)
    delta = generator.standard_normal((12, 17)) * scale * (generator.random((12, 17)) < share)
    return delta.astype(np.float32)


def figures_of(
    options: MergeOptions,
    sft: Factors | None,
    preference: Factors | None,
    *,
    module: str = MODULES[0],
    dtype: str = "F32",
    base: Matrix | None = None,
) -> TensorFigures:
    content = None if base is None else base_bytes(base, dtype)
    (merged,) = merge_factors([options], sft, preference, module=module, dtype=dtype, base=content)
    return merged.figures


def expected(cases: list[tuple[Matrix, Matrix, Matrix]], dtype: str) -> dict[str, Any]:
    """Every figure of (base, SFT delta, preference delta) merged by their sum, from the words of the documentation."""
    base, first, second = (np.concatenate([case[index].ravel() for case in cases]) for index in range(3))
    merged = (first + second).astype(np.float32)
    before = torch.from_numpy(base).to(DTYPES[dtype])
    after = (before.float() + torch.from_numpy(merged)).to(DTYPES[dtype])
    same = (before == after).numpy()
    first, second, wide = first.astype(np.float64), second.astype(np.float64), merged.astype(np.float64)
    norms = np.linalg.norm(first), np.linalg.norm(second)
    both, either = (first != 0) & (second != 0), (first != 0) | (second != 0)
    return {
        "entries": base.size,
        "normSft": norms[0],
        "normPreference": norms[1],
        "normRatio": norms[0] / norms[1],
        "cosine": (first * second).sum() / norms[0] / norms[1],
        "densitySft": (first != 0).mean(),
        "densityPreference": (second != 0).mean(),
        "supportOverlap": both.sum() / either.sum(),
        "signConflicts": (both & (first * second < 0)).sum() / both.sum(),
        "normMerged": np.linalg.norm(wide),
        "normKept": np.linalg.norm(wide) / np.linalg.norm(first + second),
        "zeroBeforeRounding": (wide == 0).mean(),
        "zeroAfterRounding": same.mean(),
        "lostToRounding": (same & (wide != 0)).sum() / (wide != 0).sum(),
    }


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_figure_of_tensors_layers_and_model(dtype: str) -> None:
    options = options_of("task_arithmetic")
    cases, figures = {}, []
    for index, module in enumerate(MODULES):
        base = np.random.default_rng(index).standard_normal((12, 17)).astype(np.float32)
        case = base, sparse(2 * index, scale=0.003), sparse(2 * index + 1, share=0.4)
        cases[module] = case
        figures.append(
            figures_of(options, *map(factors_of, case[1:]), module=module, dtype=dtype, base=base)
        )  # fmt: skip
    report = json.loads(json.dumps(interference_report(options, figures, replaced={})))
    assert report["merge"] == options.resolved()
    for document in (report["model"], *report["tensors"], *report["layers"]):
        assert document.pop("rankError") is None
    assert report["model"] == pytest.approx(expected(list(cases.values()), dtype), rel=1e-6)
    assert [tensor["name"] for tensor in report["tensors"]] == [f"{module}.weight" for module in MODULES]
    for tensor, case in zip(report["tensors"], cases.values(), strict=True):
        del tensor["name"]
        assert tensor == pytest.approx(expected([case], dtype), rel=1e-6)
    assert [layer["layer"] for layer in report["layers"]] == [0, 10]
    first = {"layer": 0} | expected([cases[module] for module in MODULES[:2]], dtype)
    assert report["layers"][0] == pytest.approx(first, rel=1e-6)
    if dtype != "F32":
        assert report["model"]["lostToRounding"] > 0


def test_what_cannot_be_divided_is_none() -> None:
    figures = figures_of(options_of("linear"), None, factors_of(np.zeros((2, 3), np.float32)))
    report = interference_report(options_of("linear"), [figures], replaced={})
    none = ("normRatio", "cosine", "supportOverlap", "signConflicts", "normKept", "lostToRounding")
    assert [report["model"][name] for name in none] == [None] * len(none)
    assert report["model"]["zeroBeforeRounding"] == 1.0
    assert interference_report(options_of("linear"), [], replaced={})["model"]["densitySft"] is None


def test_figures_are_read_as_they_were_written() -> None:
    figures = figures_of(options_of("ties"), factors_of(sparse(1)), factors_of(sparse(2)))
    assert TensorFigures.from_record(json.loads(json.dumps(figures.to_record()))) == figures


def warnings(options: MergeOptions, *figures: TensorFigures) -> list[str]:
    return interference_report(options, figures, replaced={})["warnings"]


def merged(options: MergeOptions, sft: Matrix | None, preference: Matrix | None, **how: Any) -> list[str]:
    """Warnings of a merge of one tensor."""
    pair = [None if delta is None else factors_of(delta) for delta in (sft, preference)]
    return warnings(options, figures_of(options, *pair, **how))


def test_a_density_above_the_actual_one() -> None:
    dense, thin = sparse(1, share=1.0), sparse(2, share=0.3)
    share = np.count_nonzero(thin) / thin.size
    assert merged(options_of("ties", density=0.5), dense, thin) == [
        f"density 0.5 is above the preference delta's own density of {share:.3f}: trimming does next to nothing to it"
    ]
    assert merged(options_of("ties", density=0.2), dense, thin) == []
    assert merged(options_of("dare_ties", density=0.5), dense, thin) == []


def test_modules_that_an_arm_does_not_adapt_do_not_make_it_sparse() -> None:
    options = options_of("ties", density=0.5)
    one = figures_of(options, factors_of(sparse(1, share=1.0)), factors_of(sparse(2, share=1.0)))
    others = [
        figures_of(options, factors_of(sparse(seed, share=1.0)), None, module=module)
        for seed, module in enumerate(MODULES[1:], start=3)
    ]
    assert warnings(options, one, *others) == []


@pytest.mark.parametrize(("factor", "warns"), [(29.0, False), (31.0, True)])
def test_one_arm_much_longer_than_the_other(factor: float, warns: bool) -> None:
    delta = sparse(1, share=1.0)
    longer, other = delta * np.float32(factor), np.roll(delta, 1)
    for pair, names in (((longer, other), ("sft", "preference")), ((other, longer), ("preference", "sft"))):
        found = merged(options_of("linear"), *pair)
        words = (
            f"the {names[0]} delta is 31 times as long as the {names[1]} delta, which has next to no part in the "
            "merge; balance: Tensor or other weights may help"
        )
        assert found == ([words] if warns else [])


def test_no_remedy_is_named_that_the_method_does_not_have() -> None:
    delta = sparse(1, share=1.0)
    (found,) = merged(options_of("sce"), delta * np.float32(100), np.roll(delta, 1))
    assert found.endswith("which has next to no part in the merge")


@pytest.mark.parametrize("options", [options_of("linear", balance="Tensor"), options_of("sft_only")])
def test_it_is_no_matter_where_arms_are_balanced_or_one_is_wanted_alone(options: MergeOptions) -> None:
    delta = sparse(1, share=1.0)
    assert merged(options, delta * np.float32(100), np.roll(delta, 1)) == []


def test_one_arm_alone_or_none() -> None:
    delta = sparse(1, share=1.0)
    assert merged(options_of("linear"), None, delta) == ["the sft delta is 0: the merge is of one arm alone"]
    assert merged(options_of("linear"), delta, None) == ["the preference delta is 0: the merge is of one arm alone"]
    nothing = np.zeros_like(delta)
    assert merged(options_of("linear"), nothing, nothing) == ["both deltas are 0: the merge is the base"]


def test_slerp_that_is_a_line() -> None:
    delta, other = sparse(1, share=1.0), sparse(2, share=1.0)
    assert merged(options_of("slerp"), delta, delta * 2) == [
        "the deltas are parallel (cosine 1.0000): slerp equals linear"
    ]
    assert merged(options_of("slerp"), delta, other) == []
    assert merged(options_of("linear"), delta, delta * 2) == []


def test_slerp_between_whole_weights() -> None:
    delta, other = sparse(1, share=1.0), sparse(2, share=1.0)
    base = np.random.default_rng(0).standard_normal(delta.shape)
    (found,) = merged(options_of("slerp", wholeWeights=True), delta, other, base=base)
    assert found.startswith("between whole weights of one base the arc is a line within rounding: this slerp equals")
    assert merged(options_of("slerp", wholeWeights=False), delta, other, base=base) == []


def test_a_merge_that_rounding_swallows() -> None:
    small = options_of("task_arithmetic")
    first, second = random_factors(2, 12, 17, seed=1), random_factors(2, 12, 17, seed=2)
    base = np.full((12, 17), 1000.0)
    found = warnings(small, figures_of(small, first, second, dtype="BF16", base=base))
    assert found == [
        "100% of the entries that the merge changes are lost to rounding: the deltas are too small for the base's dtype"
    ]
    assert warnings(small, figures_of(small, first, second, dtype="F32", base=base)) == []
