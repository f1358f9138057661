"""Flags and files together, and what is said of them where they are wrong."""

from pathlib import Path

import pytest
from tests.paft_cli.merge_recipes.mergekit_files import LINEAR, TIES

from paft_api.spec.merge import MergeMethod, MergeSpec
from paft_api.yaml_documents import Json
from paft_cli.errors import CommandError
from paft_cli.merge_recipes.merge_spec import merge_spec_of
from paft_cli.merge_recipes.recipe_files import read_candidates, read_recipe

RECIPE = """\
method: della
density: 0.25
weights:
- {sft: 0.5}
- modules: "*.mlp.*"
  layers: {first: 2}
  gradient: [{sft: 1.0}, {sft: 0.0}]
candidates:
- {name: plain, method: linear}
"""
CANDIDATES = """\
- {name: steep, method: della, epsilon: 0.2}
- {name: arc, method: slerp}
"""
OUTPUT: dict[str, Json] = {"uri": "file:///fused/"}


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _merged(recipe: str = "", candidates: str = "", options: dict[str, Json] | None = None) -> MergeSpec:
    files = []
    if recipe:
        Path("recipe.yaml").write_text(recipe, encoding="utf-8")
        files.append(read_recipe(Path("recipe.yaml")))
    if candidates:
        Path("candidates.yaml").write_text(candidates, encoding="utf-8")
        files.append(read_candidates(Path("candidates.yaml")))
    return merge_spec_of(options or {}, OUTPUT, files)


def test_a_recipe_has_the_fields_of_the_contract() -> None:
    merge = _merged(RECIPE)

    assert (merge.method, merge.density, merge.output.uri) == (MergeMethod.DELLA, 0.25, "file:///fused/")
    assert merge.weights[1].gradient is not None
    assert [candidate.name for candidate in merge.candidates] == ["plain"]


def test_flags_add_what_the_recipe_leaves_open() -> None:
    merge = _merged(RECIPE, options={"lambda": 0.5, "epsilon": 0.2})

    assert (merge.density, merge.lambda_, merge.epsilon) == (0.25, 0.5, 0.2)


def test_candidates_go_with_a_recipe_of_mergekit() -> None:
    merge = _merged(TIES, CANDIDATES)

    assert (merge.preset, merge.density) == ("mergekit", 0.5)
    assert [candidate.method for candidate in merge.candidates] == [MergeMethod.DELLA, MergeMethod.SLERP]


@pytest.mark.parametrize(
    ("recipe", "candidates", "options", "message"),
    [
        (RECIPE, "", {"density": 0.5}, "--density and recipe.yaml both have density; give it once"),
        (TIES, "", {"preset": "paft"}, "--preset and recipe.yaml both have preset; give it once"),
        (TIES, "", {"weights": [{}]}, "--weight and recipe.yaml both have weights; give it once"),
        (RECIPE, CANDIDATES, {}, "recipe.yaml and candidates.yaml both have candidates; give it once"),
        (
            RECIPE.replace("density: 0.25", "densty: 0.25"),
            "",
            {},
            "recipe.yaml:2:1: densty: unknown field. Did you mean density?",
        ),
        (
            RECIPE.replace("{first: 2}", "{first: 2, last: 1}"),
            "",
            {},
            "recipe.yaml:6:22: weights[1].layers.last: 1 comes before first 2; give the lower number to first",
        ),
        (
            "density: 0.5",
            "",
            {"method": "linear"},
            "recipe.yaml:1:1: density: 0.5 has no effect with method linear; remove it or use breadcrumbs or "
            "dare_linear or dare_ties or della or sce or ties",
        ),
        (
            "method: della\ndensity: 0.1",
            "",
            {"epsilon": 0.2},
            "--epsilon: 0.2 around density 0.1 leaves 0 to 1; lower it to at most the smaller of density and 1 - "
            "density",
        ),
        (
            "method: sce",
            "",
            {"weights": [{"sft": 0.5}]},
            "--weight: have no effect with method sce, which finds its own; remove them",
        ),
        (
            "",
            CANDIDATES.replace("epsilon", "gamma"),
            {},
            "candidates.yaml:1:32: candidates[0].gamma: 0.2 has no effect with method della; remove it or use "
            "breadcrumbs",
        ),
        (
            "",
            CANDIDATES.replace("arc", "steep"),
            {},
            "candidates.yaml:1:1: candidates: has the name steep twice; give each its own",
        ),
        ("", "- {method: linear}", {}, "candidates.yaml:1:3: candidates[0].name: this field is missing"),
        (
            LINEAR.replace("0.75", "11"),
            "",
            {},
            "recipe.yaml: weights[0].sft: 11.0 is out of bounds; it must be at most 10",
        ),
        (
            TIES.replace("int8_mask: true", "rescale: true"),
            "",
            {},
            "recipe.yaml:17:31: parameters.rescale: ties does not rescale; remove it, or use lambda",
        ),
        ("output: {uri: s3://a/b/}", "", {}, "recipe.yaml:1:1: output: the command line says where the output goes"),
        ("resources: {}", "", {}, "recipe.yaml:1:1: resources: they are those of a pod; remove it"),
        ("- linear", "", {}, "recipe.yaml:1:1: the file holds no recipe: it is not a map"),
        ("# nothing", "", {}, "recipe.yaml: the file is empty; it should hold one recipe"),
        ("density: .nan", "", {}, "recipe.yaml:1:10: density: .nan is not a finite number"),
        ("", "name: a", {}, "candidates.yaml:1:1: the file holds no list of candidates: write - name: … for each"),
    ],
)
def test_what_is_wrong_is_told_where_it_was_given(
    recipe: str, candidates: str, options: dict[str, Json], message: str
) -> None:
    with pytest.raises(CommandError) as caught:
        _merged(recipe, candidates, options)

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
