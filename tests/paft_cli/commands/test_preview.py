"""`paft data preview`: what it says of rows, wherever they lie."""

import json
from pathlib import Path

import pytest
import yaml
from tests.paft_cli.data_jobs import write_job

from paft_api.spec.storage import StorageSpec
from paft_api.stages import StageName
from paft_cli.commands.preview import PreviewArguments, show_preview
from paft_cli.errors import CommandError
from paft_trainer.storage import open_store

PAIRS = [{"prompt": "2+2=", "chosen": "4", "rejected": "5" * 70}]
TEXTS = [
    {"prompt": "2+2=", "completion": "4"},
    {"prompt": "1+", "completion": "1=2" + "2" * 70},
    {"prompt": "?" * 64, "completion": "!"},
]


def shown(capsys: pytest.CaptureFixture[str], job: Path, *, as_json: bool = False, **arguments: object) -> str:
    defaults = {"arm": None, "source": None, "evaluation": False, "rows": 2, "count": 100}
    show_preview(job, PreviewArguments(**defaults | arguments), as_json=as_json)  # type: ignore[arg-type]
    return capsys.readouterr().out


@pytest.fixture
def job(storage: StorageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job whose rows lie in the storage."""
    monkeypatch.chdir(tmp_path)
    store = open_store(storage)
    uris = [f"{storage.artifacts_uri}data/{name}.jsonl" for name in ("texts", "pairs")]
    for uri, rows in zip(uris, (TEXTS, PAIRS), strict=True):
        store.put(uri, "".join(json.dumps(row) + "\n" for row in rows).encode())
    path = write_job(
        tmp_path,
        sft=[{"uri": uris[0], "format": "prompt-completion"}],
        preference=[{"uri": uris[1], "format": "preference"}],
    )
    document = yaml.safe_load(path.read_text())
    document["spec"]["storage"] = storage.to_document()
    path.write_text(yaml.safe_dump(document))
    return path


def test_rows_are_shown_as_tokens_with_what_is_learnt_masked_and_cut(
    job: Path, storage: StorageSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"{storage.artifacts_uri}data/"
    assert shown(capsys, job, rows=1) == (
        f"""\
sft.data.train[0]: {uri}texts.jsonl, prompt-completion; 3 rows
  {uri}texts.jsonl:1
    masked     4  2|+|2|=
    learnt     2  4|<|im_end|>
  148 tokens: 43.2% learnt, 47.3% masked, 9.5% cut
  cut at maxLength 64: 66.7% of the sequences, and with them 17.9% of what would be learnt
  left out, as nothing is to be learnt within maxLength: 1
  TOKENS  SEQUENCES
  5-8     1          ████████████████████
  9-16    0
  17-32   0
  33-64   0
  65-128  2          ████████████████████████████████████████  longer than maxLength

preference.data.train[0]: {uri}pairs.jsonl, preference; 1 rows
  {uri}pairs.jsonl:1
    chosen:
    masked     4  2|+|2|=
    learnt     2  4|<|im_end|>
    rejected:
    masked     4  2|+|2|=
    learnt    60  {"|".join("5" * 60)}
    cut       11  {"|".join("5" * 10)}|<|im_end|>
  81 tokens: 76.5% learnt, 9.9% masked, 13.6% cut
  cut at maxLength 64: 50.0% of the sequences, and with them 15.1% of what would be learnt
  TOKENS  SEQUENCES
  5-8     1          ████████████████████████████████████████
  9-16    0
  17-32   0
  33-64   0
  65-128  1          ████████████████████████████████████████  longer than maxLength
"""
    )


def test_json_has_the_tokens(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (preview,) = json.loads(shown(capsys, job, as_json=True, arm=StageName.SFT, count=2))["sources"]
    assert preview["tokens"] == {"learnt": 64, "masked": 6, "cut": 12}
    assert (preview["rowsCounted"], preview["allRows"], preview["cutSequences"]) == (2, False, 1)
    first, second = preview["rows"]
    assert [(run["kind"], len(run["ids"]), "".join(run["pieces"])) for run in first["sequences"]["row"]] == [
        ("masked", 4, "2+2="),
        ("learnt", 2, "4<|im_end|>"),
    ]
    assert [run["kind"] for run in second["sequences"]["row"]] == ["masked", "learnt", "cut"]


def test_what_the_job_asks_to_learn_is_shown(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = yaml.safe_load(job.read_text())
    arm = document["spec"]["sft"]
    arm["training"] = arm["training"] | {"completionOnlyLoss": False}
    job.write_text(yaml.safe_dump(document))
    assert "    learnt     6  2|+|2|=|4|<|im_end|>\n" in shown(capsys, job, arm=StageName.SFT, rows=1)


def test_what_cannot_be_shown_is_told(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match=r"the job has no source number 7 in data.train of either arm"):
        shown(capsys, job, source=7)
    with pytest.raises(CommandError, match=r"the job has no source in data.eval of sft"):
        shown(capsys, job, arm=StageName.SFT, evaluation=True)
    job.write_text(job.read_text().replace("format: prompt-completion", "format: messages"))
    with pytest.raises(CommandError, match=r"texts.jsonl:1: the field messages is missing; the row has"):
        shown(capsys, job)
