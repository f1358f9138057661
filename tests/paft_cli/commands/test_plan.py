"""`paft plan`."""

import json
from pathlib import Path

import pytest
from tests.paft_cli.workplace import Workplace

from paft_cli.commands.job_files import read_job
from paft_cli.commands.plan import plan_document, show_plan
from paft_cli.local import local_job
from paft_cli.local.machine import Machine


def test_json_holds_sizes_addresses_and_every_default_and_nothing_is_written(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    show_plan(Path("job.yaml"), output="json")
    document = json.loads(capsys.readouterr().out)
    _, sft, preference, merge = document["stages"]
    assert [stage["next"] for stage in document["stages"]] == ["run"] * 4
    assert (sft["processes"], sft["device"], sft["gradientAccumulationSteps"], sft["globalBatchSize"]) == (
        1,
        "cpu",
        8,
        8,
    )
    assert sft["writes"] == f"file://{workplace.path}/artifacts/sft/<digest that prepare works out>/"
    assert preference["reads"] == [f"file://{workplace.path}/base/", f"file://{workplace.path}/pairs.jsonl"]
    assert merge["options"] == {
        "method": "ties",
        "preset": "paft",
        "lambda": 1.0,
        "weights": [{"sft": 1.0, "preference": 1.0}],
        "density": 0.5,
        "densityScope": "Tensor",
        "election": "Weighted",
        "normalize": True,
        "balance": "None",
    }
    assert merge["writes"] == f"file://{workplace.path}/output/"
    spec = document["job"]["spec"]
    assert spec["sft"]["resources"]["processesPerNode"] == 1
    assert spec["preference"]["training"]["learningRate"] == 5e-6
    assert spec["merge"] == merge["options"] | {
        key: spec["merge"][key] for key in ("candidates", "output", "resources")
    }
    assert not (workplace.path / ".paft").exists()


def test_text_shows_what_this_machine_changes(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.change(lambda spec: spec["sft"].update(resources={"nodes": 8, "gpusPerNode": 0}))
    show_plan(Path("job.yaml"), output="text")
    text = capsys.readouterr().out
    assert "sft: " in text
    assert " instead of 8 CPU processes" in text
    assert (
        "merge: ties, preset paft, lambda 1.0, density 0.5, densityScope Tensor, election Weighted, normalize true, "
        "balance None, weights sft 1.0 and preference 1.0\nmerge writes a checkpoint, in files of at most 5GB\n"
    ) in text
    assert "Nothing was started." in text


def test_candidates_are_shown_with_their_options_and_folders(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    gradient = [{"sft": 1, "preference": 0}, {"sft": 0, "preference": 1}]
    weights = [{}, {"modules": "*.mlp.*", "layers": {"first": 2}, "gradient": gradient}]
    candidates = [{"name": "steep", "method": "della", "density": 0.25, "weights": weights}]
    workplace.change(lambda spec: spec["merge"].update(candidates=candidates))

    show_plan(Path("job.yaml"), output="text")
    text = capsys.readouterr().out
    assert (
        "merge, candidate steep: della, preset paft, lambda 1.0, density 0.25, seed 0, rescale Density, election "
        "Weighted, normalize true, epsilon 0.1, balance None, weights sft 1.0 and preference 1.0; in *.mlp.* from "
        "layer 2 to the last sft 1.0 → 0.0 and preference 0.0 → 1.0\n"
    ) in text
    assert f"merge       writes  file://{workplace.path}/output/candidates/steep/\n" in text
    show_plan(Path("job.yaml"), output="json")
    document = json.loads(capsys.readouterr().out)
    (candidate,) = document["job"]["spec"]["merge"]["candidates"]
    assert candidate == {"name": "steep"} | document["stages"][-1]["candidates"][0]["options"]


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ({"form": "Adapter"}, "merge writes an adapter, rank of both adapters together, in files of at most 5GB"),
        ({"form": "Adapter", "rank": 8}, "merge writes an adapter, rank 8, in files of at most 5GB"),
        ({"form": "Recipe"}, "merge writes the recipe only"),
    ],
)
def test_the_form_of_the_output_is_told(
    output: dict[str, object], line: str, workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.change(lambda spec: spec["merge"]["output"].update(output))
    show_plan(Path("job.yaml"), output="text")
    assert line in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("devices", "shared_out", "order"),
    [
        ((0, 1, 2, 3, 4, 5, 6, 7), ([0, 1, 2, 3], [4, 5, 6, 7]), "both at the same time"),
        ((0, 1, 2, 3), ([0, 1, 2, 3], [0, 1, 2, 3]), "one after the other, for there are fewer GPUs"),
        ((), ([], []), "both at the same time"),
    ],
)
def test_two_arms_share_the_gpus_of_a_machine_or_take_turns(
    devices: tuple[int, ...], shared_out: tuple[list[int], list[int]], order: str, workplace: Workplace
) -> None:
    for arm in ("sft", "preference"):
        workplace.change(lambda spec, arm=arm: spec[arm].update(resources={"nodes": 1, "gpusPerNode": 4}))
    job = local_job.resume(workplace.job, read_job(Path("job.yaml")))
    document = plan_document(job, workplace.job, Machine(cpus=16, cuda_devices=devices))
    sft, preference = document["stages"][1:3]
    assert (sft["cudaDevices"], preference["cudaDevices"]) == shared_out
    assert (sft["processes"], sft["gradientAccumulationSteps"]) == (4, 2)
    assert document["arms"].startswith(f"arms: {order}")


def test_after_a_stop_the_plan_continues_and_after_a_change_it_begins_anew(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.script(sft_fail="1:DataInvalid")
    assert workplace.run() == 1
    capsys.readouterr()
    show_plan(Path("job.yaml"), output="json")
    document = json.loads(capsys.readouterr().out)
    assert document["job"]["metadata"]["generation"] == 2
    assert [stage["next"] for stage in document["stages"]] == ["run", *["run, unless prepare finds it finished"] * 3]
