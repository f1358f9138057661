"""`paft merge`."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.paft_cli.workplace import PLAYER_COMMAND, Workplace

from paft_api.stages import StageName
from paft_cli.commands.merge import MergeArguments, as_uri, merge_adapters, run_spec_of
from paft_cli.errors import CommandError
from paft_cli.local.directories import AttemptDirectory

ARGUMENTS = MergeArguments(
    base="s3://models/base/",
    adapters=("sft=s3://adapters/sft", "preference=adapters/preference"),
    output="fused",
    method="ties",
    density=0.3,
    seed=None,
    weights=("sft=0.7",),
    max_shard_size="1GB",
    endpoint="http://127.0.0.1:8333",
    region=None,
)


@pytest.fixture
def directory(tmp_path: Path) -> AttemptDirectory:
    return AttemptDirectory(tmp_path, StageName.MERGE, 1)


def test_arguments_become_a_run_spec(workplace: Workplace, directory: AttemptDirectory) -> None:
    told = run_spec_of(ARGUMENTS, directory)
    assert told.merge is not None
    assert told.base.uri == "s3://models/base/"
    assert told.base_digest is None
    assert told.merge.sft.uri == "s3://adapters/sft/"
    assert told.merge.preference.uri == f"file://{workplace.path}/adapters/preference/"
    spec = told.merge.spec
    assert (spec.density, spec.weights[0].sft, spec.weights[0].preference) == (0.3, 0.7, 1.0)
    assert spec.output.uri == f"file://{workplace.path}/fused/"
    assert told.storage.endpoint == "http://127.0.0.1:8333"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"adapters": ("sft=a",)}, "--adapter preference=URI is missing; both adapters are needed"),
        ({"adapters": ("sft=a", "dpo=b")}, "--adapter dpo=b: write sft=… or preference=…"),
        ({"adapters": ("sft=a", "sft=b", "preference=c")}, "--adapter sft=… is given twice; give it once"),
        ({"weights": ("sft=much",)}, "--weight sft=much: 'much' is no number; write such as sft=0.7"),
        ({"weights": ("sft=11",)}, "sft 11.0: Input should be less than or equal to 10"),
        ({"density": 2.0}, "density 2.0: Input should be less than or equal to 1"),
        (
            {"method": "linear"},
            "density 0.3 has no effect with method linear; remove it or use method ties",
        ),
    ],
)
def test_arguments_that_cannot_work_are_named(
    change: dict[str, object], message: str, workplace: Workplace, directory: AttemptDirectory
) -> None:
    with pytest.raises(CommandError) as caught:
        run_spec_of(replace(ARGUMENTS, **change), directory)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


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
