"""`paft merge`."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.paft_cli.merge_recipes.mergekit_files import LINEAR
from tests.paft_cli.workplace import PLAYER_COMMAND, Workplace
from typer.testing import CliRunner

from paft_api.digests import digest_of
from paft_api.stages import StageName
from paft_cli.app import app
from paft_cli.commands.merge import MergeArguments, as_uri, merge_adapters, run_spec_of
from paft_cli.errors import CommandError
from paft_cli.local.directories import AttemptDirectory
from paft_cli.merge_recipes.recipe_files import read_recipe
from paft_trainer.merge.recipe_file import recipe_file

ARGUMENTS = MergeArguments(
    base="s3://models/base/",
    adapters=("sft=s3://adapters/sft", "preference=adapters/preference"),
    output="fused",
    options={"method": "ties", "density": 0.3},
    weights=("sft=0.7",),
    output_options={"maxShardSize": "1GB"},
    recipe=None,
    candidates=None,
    endpoint="http://127.0.0.1:8333",
    region=None,
)


@pytest.fixture
def directory(tmp_path: Path) -> AttemptDirectory:
    return AttemptDirectory(tmp_path, StageName.MERGE, 1)


def test_arguments_become_a_run_spec(workplace: Workplace, directory: AttemptDirectory) -> None:
    told = run_spec_of(ARGUMENTS, None, directory)
    assert told.merge is not None
    assert told.base.uri == "s3://models/base/"
    assert told.base_digest is None
    assert told.merge.sft.uri == "s3://adapters/sft/"
    assert told.merge.preference.uri == f"file://{workplace.path}/adapters/preference/"
    spec = told.merge.spec
    assert (spec.density, spec.weights[0].sft, spec.weights[0].preference) == (0.3, 0.7, 1.0)
    assert spec.output.uri == f"file://{workplace.path}/fused/"
    assert spec.output.max_shard_size == "1GB"
    assert told.storage.endpoint == "http://127.0.0.1:8333"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base": None}, "--base URI is missing: the checkpoint that both adapters were trained on"),
        ({"adapters": ("sft=a",)}, "--adapter preference=URI is missing; both adapters are needed"),
        ({"adapters": ("sft=a", "dpo=b")}, "--adapter dpo=b: write sft=… or preference=…"),
        ({"adapters": ("sft=a", "sft=b", "preference=c")}, "--adapter sft=… is given twice; give it once"),
        ({"weights": ("sft=much",)}, "--weight sft=much: 'much' is no number; write such as sft=0.7"),
        ({"weights": ("sft=11",)}, "--weight: 11.0 is out of bounds; it must be at most 10"),
        ({"options": {"density": 2.0}}, "--density: 2.0 is out of bounds; it must be at most 1"),
        (
            {"options": {"method": "ties", "densityScope": "Model", "seed": 1}},
            "--seed: 1 has no effect with method ties; remove it or use dare_linear or dare_ties or della",
        ),
        (
            {"output_options": {"rank": 4}},
            "--rank: 4 has no effect with form Full; remove it or use form Adapter",
        ),
        (
            {"output_options": {"maxShardSize": "5 GB"}},
            '--max-shard-size: "5 GB" does not have the right form; write a whole number and KB, MB or GB, such as 5GB',
        ),
    ],
)
def test_arguments_that_cannot_work_are_named(
    change: dict[str, object], message: str, workplace: Workplace, directory: AttemptDirectory
) -> None:
    with pytest.raises(CommandError) as caught:
        run_spec_of(replace(ARGUMENTS, **change), None, directory)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_mergekits_yaml_names_base_and_adapters(workplace: Workplace, directory: AttemptDirectory) -> None:
    file = workplace.path / "mergekit.yaml"
    file.write_text(LINEAR.replace("models/base", "s3://models/base"), encoding="utf-8")
    arguments = replace(ARGUMENTS, base=None, adapters=(), options={}, weights=(), recipe=file)

    told = run_spec_of(arguments, read_recipe(file), directory)

    assert told.merge is not None
    assert told.base.uri == "s3://models/base/"
    assert told.merge.sft.uri == f"file://{workplace.path}/adapters/chat/"
    assert told.merge.preference.uri == f"file://{workplace.path}/adapters/aligned/"
    assert (told.merge.spec.method, told.merge.spec.preset) == ("linear", "mergekit")
    for change, flag in (({"base": "b"}, "--base"), ({"adapters": ("sft=a",)}, "--adapter")):
        with pytest.raises(CommandError) as caught:
            run_spec_of(replace(arguments, **change), read_recipe(file), directory)
        assert str(caught.value) == f"{flag} and {file} both name it; give it once"


def test_a_recipe_that_a_merge_wrote_names_base_and_adapters(workplace: Workplace, directory: AttemptDirectory) -> None:
    told = run_spec_of(ARGUMENTS, None, directory)
    assert told.merge is not None
    digests = {name: digest_of([name]) for name in ("base", "sft", "preference")}
    recipe = {
        "base": {"uri": told.base.uri, "digest": digests["base"]},
        "adapters": {
            "sft": {"uri": told.merge.sft.uri, "digest": digests["sft"]},
            "preference": {"uri": told.merge.preference.uri, "digest": digests["preference"]},
        },
    }
    file = workplace.path / "merge_recipe.yaml"
    file.write_bytes(recipe_file(told.merge.spec, recipe))
    arguments = replace(ARGUMENTS, base=None, adapters=(), options={}, weights=(), recipe=file)

    again = run_spec_of(arguments, read_recipe(file), directory)

    assert again.merge is not None
    assert again.merge.spec.resolved() == told.merge.spec.resolved()
    assert (again.base, again.base_digest) == (told.base, digests["base"])
    for before, after, arm in (
        (told.merge.sft, again.merge.sft, "sft"),
        (told.merge.preference, again.merge.preference, "preference"),
    ):
        assert (after.uri, after.digest) == (before.uri, digests[arm])
    file.write_text("method: ties\nbase: {uri: s3://models/base/}\nadapters: {sft: s3://adapters/sft}\n")
    with pytest.raises(CommandError) as caught:
        read_recipe(file)
    told_error = "adapters.sft: it must have a uri; write {uri: …}, or remove base and adapters"
    assert str(caught.value) == f"{file}:3:12: {told_error}"


def test_files_and_flags_together_are_merged_and_results_told(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, candidates = workplace.path / "recipe.yaml", workplace.path / "candidates.yaml"
    recipe.write_text(LINEAR, encoding="utf-8")
    candidates.write_text("- {name: arc, method: slerp}\n", encoding="utf-8")
    arguments = replace(
        ARGUMENTS, base=None, adapters=(), options={"lambda": 0.5}, weights=(), recipe=recipe, candidates=candidates
    )

    assert merge_adapters(arguments, trainer_command=PLAYER_COMMAND) == 0

    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{recipe}: dtype bfloat16 is not used: deltas are fp32, and the output has the base's dtype"
    assert said[-3].startswith(f"file://{workplace.path}/fused/: linear, 7 tensors merged, ")
    assert said[-2].startswith(f"file://{workplace.path}/fused/candidates/arc/: slerp, 2.5 MB, sha256:")
    assert said[-1] == "Warning: played"


def test_every_flag_reaches_the_merge(
    workplace: Workplace, directory: AttemptDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[MergeArguments] = []
    monkeypatch.setattr("paft_cli.commands.merge.merge_adapters", lambda arguments: seen.append(arguments) or 0)
    flags = ["merge", "--base", "b", "--adapter", "sft=s", "--adapter", "preference=p", "--output", "o"]
    for given in (
        "--method della --preset mergekit --density 0.5 --seed 3 --rescale norm --election unweighted --normalize "
        "--epsilon 0.2 --balance model --lambda 0.5 --weight sft=0.5 --weight *.mlp.*:sft=0.25",
        "--method breadcrumbs --density-scope model --gamma 0.02 --form adapter --rank 4",
        "--method slerp --no-whole-weights --max-shard-size 1MB --form recipe",
    ):
        ended = CliRunner().invoke(app, [*flags, *given.split()])
        assert ended.exit_code == 0, ended.output

    della, breadcrumbs, slerp = (run_spec_of(arguments, None, directory).merge.spec.to_document() for arguments in seen)
    assert {key: value for key, value in della.items() if key not in ("output", "resources")} == {
        "method": "della",
        "preset": "mergekit",
        "weights": [{"sft": 0.5, "preference": 1.0}, {"modules": "*.mlp.*", "sft": 0.25, "preference": 1.0}],
        "density": 0.5,
        "seed": 3,
        "rescale": "Norm",
        "election": "Unweighted",
        "normalize": True,
        "epsilon": 0.2,
        "balance": "Model",
        "lambda": 0.5,
        "candidates": [],
    }
    assert (breadcrumbs["densityScope"], breadcrumbs["gamma"]) == ("Model", 0.02)
    assert (breadcrumbs["output"]["form"], breadcrumbs["output"]["rank"]) == ("Adapter", 4)
    assert (slerp["wholeWeights"], slerp["output"]["form"], slerp["output"]["maxShardSize"]) == (False, "Recipe", "1MB")


def test_paths_become_uris(workplace: Workplace) -> None:
    assert as_uri("s3://bucket/key") == "s3://bucket/key"
    assert as_uri("a folder") == f"file://{workplace.path}/a%20folder/"


def test_a_merge_prints_what_it_made_and_leaves_no_state(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    # The last line; what comes before it on a busy machine is progress.
    assert merge_adapters(ARGUMENTS, trainer_command=PLAYER_COMMAND) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    what = "ties, 7 tensors merged, 3 copied, 2.5 MB in 0.5 s, peak memory 80.0 MB, sha256:"
    assert said.startswith(f"file://{workplace.path}/fused/: {what}")
    assert merge_adapters(ARGUMENTS, trainer_command=PLAYER_COMMAND) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(f"file://{workplace.path}/fused/ has this merge already: 2.5 MB")
    assert not (workplace.path / ".paft").exists()


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (
            "ArtifactMismatch",
            "Failed: ArtifactMismatch: as scripted\n  Use artifacts that belong together, or another output.\n",
        ),
        (
            "Unknown",
            "playing merge, attempt 1\nFailed: Unknown: as scripted\n"
            "  Read the attempt's log; report it if the cause is not yours.\n",
        ),
    ],
)
def test_a_failed_merge_says_why_with_its_log_where_nobody_knows(
    cause: str, expected: str, workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.script(merge_fail=f"1:{cause}")
    assert merge_adapters(ARGUMENTS, trainer_command=PLAYER_COMMAND) == 1
    assert capsys.readouterr().err == expected
