"""`paft estimate`, through the command line, on a real tiny base."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.paft_cli.workplace import Workplace
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_cli.__main__ import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def estimate(workplace: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `paft estimate job.yaml`; returns exit code, stdout and stderr."""
    build_checkpoint(workplace.path / "base", tied=True)
    chats, _ = write_sums(workplace.path)
    chats.rename(workplace.path / "chat.jsonl")
    capsys.readouterr()

    def run(*options: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["paft", "estimate", "job.yaml", *options])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def on_gpus(spec: dict[str, Any]) -> None:
    """Both arms on two GPUs."""
    for arm in ("sft", "preference"):
        spec[arm]["resources"] = {"gpusPerNode": 2}
        spec[arm]["training"] |= {"maxLength": 64}


def test_the_table_tells_memory_time_and_bytes(workplace: Workplace, estimate: Run) -> None:
    workplace.change(on_gpus)
    code, out, err = estimate("--gpu", "a100", "--mfu", "0.5")
    assert (code, err) == (0, "")
    assert "GPU: a100, 80.0 GB; rate: 50% of its 312 TFLOP/s, which is an assumption" in out
    for words in ("base, shards", "activations", "logits", "optimizer steps", "GPU-hours", "merged checkpoint"):
        assert words in out
    assert "sft: fits: 1.5 GB of 80.0 GB" in out


def test_json_holds_the_same_as_numbers_and_counts_every_row(workplace: Workplace, estimate: Run) -> None:
    workplace.change(on_gpus)
    code, out, _ = estimate("--json", "--flops", "1e12")
    document = json.loads(out)
    sft, preference = document["arms"]["sft"], document["arms"]["preference"]
    assert code == 0
    assert (sft["rows"], sft["tokensError"], sft["steps"], sft["processes"]) == (48, 0.0, 6, 2)
    # Each pair has its prompt twice.
    assert preference["tokensPerEpoch"] > 1.9 * sft["tokensPerEpoch"] > 48 * 20
    assert sft["seconds"] == pytest.approx(sft["flops"] / 2e12)
    assert document["gpuHours"] == pytest.approx((sft["seconds"] + preference["seconds"]) * 2 / 3600)
    peak = sft["memory"]["peak"]
    parts = sum(sft["memory"][part] for part in sft["memory"].keys() - {"peak", "available"})
    assert 0.9 * parts < peak <= parts
    assert not (workplace.path / "artifacts").exists()


def test_a_sample_tells_its_error(workplace: Workplace, estimate: Run) -> None:
    workplace.change(on_gpus)
    _, out, _ = estimate("--json", "--sample", "10")
    arm = json.loads(out)["arms"]["sft"]
    assert (arm["rows"], 0 < arm["tokensError"] < 0.2) == (48, True)


def test_given_tokens_need_no_data(workplace: Workplace, estimate: Run) -> None:
    workplace.change(on_gpus)
    (workplace.path / "chat.jsonl").unlink()
    (workplace.path / "pairs.jsonl").unlink()
    code, out, _ = estimate("--json", "--tokens", "sft=1M", "--tokens", "preference=2M", "--rows", "sft=20k")
    arms = json.loads(out)["arms"]
    assert code == 0
    assert (arms["sft"]["rows"], arms["preference"]["rows"]) == (20000, 15625)
    assert arms["sft"]["tokens"] == 1_000_000


def test_without_gpus_the_pods_memory_counts_and_no_time_is_told(workplace: Workplace, estimate: Run) -> None:
    code, out, _ = estimate()
    assert code == 0
    assert "rate: not known on CPU, so no time is told; --flops N gives one" in out
    assert "GPU-hours" not in out
    assert " of 68.7 GB" in out


def test_what_does_not_fit_is_told_with_what_would(workplace: Workplace, estimate: Run) -> None:
    def crowd(spec: dict[str, Any]) -> None:
        spec["sft"]["training"] |= {"maxLength": 8192, "microBatchSize": 8, "packing": False}
        spec["sft"]["resources"] |= {"memory": "900Mi"}

    workplace.change(crowd)
    code, out, _ = estimate("--tokens", "1M")
    assert code == 1
    assert "Warning: sft does not fit: " in out
    assert "  one of these is enough:\n  - spec.sft.training." in out
    assert "  - spec.sft.training.microBatchSize: 2\n" in out
    assert "preference: fits: " in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--gpu", "voodoo2"],
            "--gpu 'voodoo2' is not known; use one of a10, a100-40gb, a100, l4, l40s, h100, h100-pcie, h100-nvl, h200, "
            "b200, rtx4090, of which the memory counts, and --flops for the rate of another",
        ),
        (["--rows", "sft=5"], "--rows sft needs --tokens sft=N: the rows are counted where the tokens are"),
        (["--tokens", "dpo=5M"], "--tokens 'dpo=5M': 'dpo' is no arm; use sft=N or preference=N"),
    ],
)
def test_wrong_options_are_refused(estimate: Run, options: list[str], message: str) -> None:
    code, out, err = estimate(*options)
    assert (code, out) == (2, "")
    assert message in err


def _change_config(change: dict[str, Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        file = folder / "base" / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | change))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / "base" / "config.json").unlink(),
            "{base} has no config.json\n  base.uri must name a Hugging Face model folder with config.json.",
        ),
        (
            _change_config({"quantization_config": {"quant_method": "gptq"}}),
            "{base}: config.json has quantization_config: the memory of quantised weights is not known here\n"
            "  Use the base in bf16, fp16 or fp32.",
        ),
        (
            lambda folder: (folder / "chat.jsonl").write_text('{"messages": 5}\n'),
            "{folder}chat.jsonl:1: messages is 5",
        ),
        (
            lambda folder: (folder / "pairs.jsonl").unlink(),
            "{folder}pairs.jsonl: there is no such file\n  Check the address.",
        ),
    ],
)
def test_a_base_or_rows_that_cannot_be_read_are_refused(
    workplace: Workplace, estimate: Run, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(workplace.path)
    code, out, err = estimate()
    folder = f"file://{workplace.path}/"
    assert (code, out) == (2, "")
    assert message.format(base=f"{folder}base/", folder=folder) in err


def test_modules_that_the_base_lacks_are_refused(workplace: Workplace, estimate: Run) -> None:
    workplace.change(lambda spec: spec["sft"].update(lora={"targetModules": ["query"]}))
    code, _, err = estimate()
    assert code == 2
    assert (
        "spec.sft.lora adapts no linear module of the base; its targets are ['query']\n"
        "  The base has down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj."
    ) in err
