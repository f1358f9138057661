"""`paft init`."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.tiny_models import build_checkpoint

from paft_api.crd.editor_schema import editor_schema
from paft_api.documents import load_job
from paft_api.spec.training import SftTrainingSpec
from paft_api.stages import ARMS
from paft_cli.__main__ import main
from paft_cli.estimates.advice import TIGHT_SHARE
from paft_cli.estimates.arm_setting import arm_setting
from paft_cli.estimates.gpus import GPUS
from paft_cli.estimates.memory import arm_memory
from paft_cli.estimates.typical_bases import typical_base

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `paft init` in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAFT_HOME", raising=False)

    def run(*options: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["paft", "init", *options])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.mark.parametrize(
    ("size", "gpus", "gpu"),
    [("1b", "0", "h100"), ("3b", "1", "a10"), ("7b", "8", "h100"), ("13b", "2", "l4"), ("70b", "32", "h200")],
)
def test_the_file_is_valid_and_says_of_both_arms_whether_they_fit(
    init: Run, tmp_path: Path, size: str, gpus: str, gpu: str
) -> None:
    code, out, _ = init("--model", size, "--gpus", gpus, "--gpu", gpu)
    job = load_job(tmp_path / "job.yaml")
    assert code == 0
    assert out.startswith(f"job.yaml: PaftJob paft-job, sizes are those of a usual {size} model; nothing was read\n")
    text = (tmp_path / "job.yaml").read_text(encoding="utf-8")
    for arm, spec in zip(ARMS, (job.spec.sft, job.spec.preference), strict=True):
        assert spec.resources.processes == max(1, int(gpus))
        peak = arm_memory(arm_setting(typical_base(size), spec, field="")).peak
        memory = GPUS[gpu].memory if gpus != "0" else 64 * 2**30
        assert (f"Warning: {arm} does not fit" in out) == (peak > TIGHT_SHARE * memory)
    assert ("DOES NOT FIT" in text) == ("Warning" in out)


def test_passes_are_as_large_as_fits(init: Run, tmp_path: Path) -> None:
    init("--model", "7b")
    spec = load_job(tmp_path / "job.yaml").spec
    assert (spec.sft.training.micro_batch_size, spec.sft.training.gradient_checkpointing) == (4, False)
    assert (spec.preference.training.micro_batch_size, spec.preference.training.gradient_checkpointing) == (2, False)
    init("--model", "70b", "--gpus", "32", "--force", "--max-length", "8192")
    spec = load_job(tmp_path / "job.yaml").spec
    assert (spec.sft.training.micro_batch_size, spec.sft.training.gradient_checkpointing) == (2, True)
    assert (spec.sft.resources.nodes, spec.sft.resources.gpus_per_node) == (4, 8)


def test_values_are_the_models_defaults(init: Run, tmp_path: Path) -> None:
    init("--model", "7b")
    spec = load_job(tmp_path / "job.yaml").spec
    changed = {"micro_batch_size": 4}
    assert spec.sft.training == SftTrainingSpec(**changed)
    assert spec.sft.lora == type(spec.sft.lora)()
    assert spec.sft.l1.strength == type(spec.sft.l1)().strength
    assert spec.preference.dpo == type(spec.preference.dpo)()


def test_editors_find_the_schema_beside(init: Run, tmp_path: Path) -> None:
    init("--model", "1b", "--output", "jobs/first.yaml")
    file = tmp_path / "jobs" / "first.yaml"
    line = file.read_text(encoding="utf-8").splitlines()[0]
    assert line == "# yaml-language-server: $schema=../.paft/paftjob_v1alpha1.json"
    schema = json.loads((file.parent / line.rpartition("=")[2]).read_text(encoding="utf-8"))
    assert schema == editor_schema(schema["$comment"])
    init("--model", "1b", "--schema", "https://example.com/paftjob.json", "--force")
    first, _, rest = (tmp_path / "job.yaml").read_text(encoding="utf-8").partition("\n")
    assert first == "# yaml-language-server: $schema=https://example.com/paftjob.json"
    assert yaml.safe_load(rest)["kind"] == "PaftJob"


def test_a_base_is_read_and_addresses_are_taken_over(init: Run, tmp_path: Path) -> None:
    base = build_checkpoint(tmp_path / "base")
    code, out, _ = init(
        *("--base", str(base), "--gpus", "0", "--name", "mine", "--sft", "s3://data/a.jsonl"),
        *("--preference", "s3://data/b.jsonl", "--artifacts", "s3://artifacts/b/", "--result", "s3://artifacts/c/"),
        *("--endpoint", "http://127.0.0.1:9000"),
    )
    assert code == 0
    assert out.startswith("job.yaml: PaftJob mine, a llama of 0.00 G parameters was read\n")
    spec = load_job(tmp_path / "job.yaml").spec
    assert (spec.base.uri, spec.storage.endpoint) == (f"file://{base}/", "http://127.0.0.1:9000")
    assert (spec.sft.data.train[0].uri, spec.preference.data.train[0].uri) == ("s3://data/a.jsonl", "s3://data/b.jsonl")
    assert (spec.storage.artifacts_uri, spec.merge.output.uri) == ("s3://artifacts/b/", "s3://artifacts/c/")


def test_nothing_is_replaced_without_force(init: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("mine", encoding="utf-8")
    code, _, err = init("--model", "7b")
    assert (code, (tmp_path / "job.yaml").read_text(encoding="utf-8")) == (2, "mine")
    assert "job.yaml is there already; name another file with --output, or use --force" in err
    assert sorted(os.listdir(tmp_path)) == ["job.yaml"]
    assert init("--model", "7b", "--force")[0] == 0
    assert load_job(tmp_path / "job.yaml").metadata.name == "paft-job"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name the model: --base URI, which is read, or --model with a size such as 7b"),
        (
            ["--model", "9b"],
            "--model '9b' is no usual size; use one of 1b, 3b, 7b, 8b, 13b, 32b, 70b, or --base alone, which is read",
        ),
        (
            ["--model", "7b", "--gpus", "12"],
            "--gpus 12 is neither at most 8 nor a multiple of it; an arm's pods are alike",
        ),
        (
            ["--model", "7b", "--gpu", "abacus"],
            "--gpu 'abacus' is not known; use one of a10, a100-40gb, a100, l4, l40s, h100, h100-pcie, h100-nvl, h200, "
            "b200, rtx4090",
        ),
        (
            ["--base", "/nowhere/at/all"],
            "file:///nowhere/at/all/ is empty or does not exist\n  Check base.uri. Or name its size with --model.",
        ),
        (
            ["--base", "s3://models/base/", "--artifacts", "nowhere"],
            "--artifacts 'nowhere': String should match pattern",
        ),
        (
            ["--model", "7b", "--result", "s3://paft/my-job/out/"],
            "job.yaml is not written, for it would be wrong:\n"
            "job.yaml:49:7: spec.merge.output.uri: s3://paft/my-job/out/ and storage.artifactsUri s3://paft/my-job/ "
            "lie in one another; give the output a folder of its own",
        ),
    ],
)
def test_what_cannot_be_written_is_told(init: Run, tmp_path: Path, options: list[str], message: str) -> None:
    code, out, err = init(*options)
    assert (code, out) == (2, "")
    assert message in err
    assert os.listdir(tmp_path) == []


def test_an_arm_that_cannot_fit_gets_the_smallest_passes(init: Run, tmp_path: Path) -> None:
    _, out, _ = init("--model", "70b", "--gpus", "1")
    assert "Warning: sft does not fit; paft estimate job.yaml tells what to change\n" in out
    spec = load_job(tmp_path / "job.yaml").spec.sft
    assert (spec.training.micro_batch_size, spec.training.gradient_checkpointing) == (1, True)
    text = (tmp_path / "job.yaml").read_text(encoding="utf-8")
    assert "# DOES NOT FIT: takes about 15" in text
