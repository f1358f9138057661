"""`paft validate --deep`."""

from pathlib import Path

import pytest
from tests.paft_cli.workplace import Workplace
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_api.causes import Cause
from paft_api.report import Finding
from paft_api.stages import StageName
from paft_cli.commands.deep_validation import exit_code_of, run_spec_of, tell, validate_deeply
from paft_cli.commands.job_files import read_job
from paft_cli.errors import CommandError
from paft_cli.local.directories import AttemptDirectory
from paft_trainer.rehearsal.preparation import rehearse_preparation


@pytest.fixture
def prepared(workplace: Workplace) -> Workplace:
    """A job whose base and rows are there."""
    build_checkpoint(workplace.path / "base")
    chats, _ = write_sums(workplace.path)
    chats.rename(workplace.path / "chat.jsonl")
    return workplace


def scratch(folder: Path) -> AttemptDirectory:
    """Where the checks put small files."""
    directory = AttemptDirectory(folder / "attempt", StageName.PREPARE, 1)
    directory.scratch.mkdir(parents=True)
    return directory


def test_all_that_is_wrong_is_told_with_its_line_and_remedy(
    prepared: Workplace, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    (prepared.path / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b"}\n', encoding="utf-8")
    (prepared.path / "job.yaml").write_text(
        f"""apiVersion: paft.dev/v1alpha1
kind: PaftJob
metadata: {{name: wrong}}
spec:
  base: {{uri: "file://{prepared.path}/base/"}}
  storage: {{artifactsUri: "file://{prepared.path}/artifacts/"}}
  merge: {{output: {{uri: "file://{prepared.path}/output/"}}}}
  preference:
    data: {{train: [{{uri: "file://{prepared.path}/pairs.jsonl", format: preference}}]}}
    resources: {{gpusPerNode: 0}}
  sft:
    data: {{train: [{{uri: "file://{prepared.path}/chat.jsonl", format: messages}}]}}
    resources: {{gpusPerNode: 0}}
    training: {{globalBatchSize: 400}}
    lora: {{targetModules: [q_proj, gate]}}
""",
        encoding="utf-8",
    )
    file = Path("job.yaml")
    job = read_job(file)
    found = rehearse_preparation(
        run_spec_of(job, scratch(tmp_path_factory.mktemp("scratch"))), tell=lambda message: pytest.fail(message)
    )
    capsys.readouterr()
    assert tell(file, job, found) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"job.yaml:9:21: spec.preference.data.train[0].uri: file://{prepared.path}/pairs.jsonl:1: the field rejected "
        "is missing; the row has chosen, prompt\n"
        "  Add the field, name its column in `columns`, or correct `format` of this source.\n"
        "job.yaml:14:16: spec.sft.training.globalBatchSize: globalBatchSize 400 is larger than the 48 training rows\n"
        "  Use at most 48, or add rows.\n"
        "job.yaml:15:12: spec.sft.lora.targetModules: targetModules 'gate' is no linear module of the base\n"
        "  Did you mean gate_proj? The base has down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj.\n"
    )
    assert sorted(path.name for path in prepared.path.iterdir()) == [
        "base",
        "chat.jsonl",
        "job.yaml",
        "pairs.jsonl",
        "player",
    ]


@pytest.mark.slow
def test_a_job_that_is_all_right_says_what_was_not_checked(
    prepared: Workplace, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As for users, to whom DeepSpeed tells on stdout that it finds no accelerator.
    monkeypatch.delenv("DS_ACCELERATOR", raising=False)
    assert validate_deeply(Path("job.yaml")) == 0
    first, rights, unknown = capfd.readouterr().out.splitlines()[-3:]
    assert first == "job.yaml: PaftJob played is valid, and so are its base and its rows"
    assert rights.startswith("Whether storage.artifactsUri and merge.output.uri may be written to")
    assert unknown.startswith("This base is not indexed under storage.artifactsUri yet")
    assert not (prepared.path / "artifacts").exists()


def test_a_file_that_is_wrong_in_itself_is_told_before_anything_is_read(workplace: Workplace) -> None:
    workplace.change(lambda spec: spec["sft"]["training"].update(epoch=1))
    with pytest.raises(CommandError) as raised:
        validate_deeply(Path("job.yaml"), command=["/nothing/is/started"])
    assert "spec.sft.training" in str(raised.value)
    assert raised.value.exit_code == 2


def test_only_what_may_pass_by_itself_exits_with_1() -> None:
    def finding(cause: Cause) -> Finding:
        return Finding(cause=cause, field="spec.base.uri", message="m", remedy="r")

    unavailable, wrong = finding(Cause.STORAGE_UNAVAILABLE), finding(Cause.CONFIG_INVALID)
    assert [exit_code_of(found) for found in ([unavailable], [wrong], [unavailable, wrong])] == [1, 2, 2]
