"""A PaftJob on a real node: arms of two pods each, merged, published, and the same as on one machine."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hack.control_plane.client import JOB, Object
from tests.node.node_cluster import BASE, DATA, NodeNamespace, condition, small_job, stage
from transformers import AutoModelForCausalLM, AutoTokenizer

pytestmark = [pytest.mark.node, pytest.mark.timeout(900)]

NAME = "tiny"
STEPS = 48


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A job that has succeeded, and the lines that `kubectl get paftjobs --watch` showed."""

    job: Object
    lines: list[str]


@pytest.fixture(scope="module")
def finished(place: NodeNamespace) -> Finished:
    with place.watched(NAME) as lines:
        place.create(small_job(place, NAME, BASE, DATA, steps=STEPS, artifacts="cluster"))
        job = place.wait_for_phase(NAME, "Succeeded")
    print("".join(lines))
    return Finished(job=job, lines=lines)


@pytest.fixture(scope="module")
def published(finished: Finished, place: NodeNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output, downloaded."""
    folder = tmp_path_factory.mktemp("published")
    for name, content in place.objects(finished.job["status"]["output"]["uri"]).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_each_arm_is_two_pods_of_one_job(finished: Finished, place: NodeNamespace) -> None:
    assert condition(finished.job, "Succeeded")["status"] == "True"
    for arm in ("sft", "preference"):
        job = place.kubernetes.get(JOB, f"{NAME}-{arm}-1", place.name)
        pods = sorted(pod["spec"]["hostname"] for pod in place.pods(NAME, arm))
        assert (job["status"]["succeeded"], pods) == (2, [f"{NAME}-{arm}-1-0", f"{NAME}-{arm}-1-1"])
        assert stage(finished.job["status"], arm)["attempt"] == 1


def test_progress_is_shown_as_it_happens(finished: Finished) -> None:
    """Columns: NAME PHASE SFT PREFERENCE METHOD ETA AGE."""
    phases = [line.split()[1] for line in finished.lines if line.startswith(NAME)]
    seen = [phase for number, phase in enumerate(phases) if phases[number - 1 : number] != [phase]]
    assert seen[-4:] == ["Validating", "Training", "Merging", "Succeeded"]
    rows = [re.findall(rf"(\d+)/{STEPS}", line) for line in finished.lines]
    told = [(int(row[0]), int(row[1])) for row in rows if len(row) == 2]
    assert told == sorted(told)
    assert told[-1] == (STEPS, STEPS)
    for steps in zip(*told, strict=True):
        assert list(steps) == sorted(steps)
    # An arm tells every 5 s at most; the other may not have begun to.
    assert len({tuple(row) for row in rows if row}) >= 3, rows
    assert min(told) < (STEPS, STEPS)


def test_the_checkpoint_loads_and_speaks(published: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(published)
    tokenizer = AutoTokenizer.from_pretrained(published)
    prompt = tokenizer("1+1=", return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert answer.shape[1] > prompt["input_ids"].shape[1]


def test_it_is_what_paft_run_gives(finished: Finished, published: Path, place: NodeNamespace, tmp_path: Path) -> None:
    """The same file, but for where it writes: finished work would be found otherwise."""
    manifest = small_job(place, NAME, BASE, DATA, steps=STEPS, artifacts="local")
    manifest["spec"]["merge"]["output"]["uri"] = f"{place.prefix}local-output/"
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(manifest), encoding="utf-8")
    subprocess.run(
        [str(Path(sys.executable).with_name("paft")), "run", str(file)],
        env=os.environ | place.s3.environment | {"PAFT_HOME": str(tmp_path / "home")},
        check=True,
    )
    local = place.objects(f"{place.prefix}local-output/")
    weights = [name for name in local if name.endswith(".safetensors")]
    assert weights
    assert {name: local[name] == (published / name).read_bytes() for name in weights} == dict.fromkeys(weights, True)
    assert len(place.adapters("cluster")) == 2
    assert place.adapters("cluster") == place.adapters("local")


def test_pods_were_under_restricted_pod_security(finished: Finished, place: NodeNamespace) -> None:
    privileged = {"name": "x", "image": "x", "securityContext": {"privileged": True}}
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [privileged]}}
    refused = subprocess.run(
        ["kubectl", "--namespace", place.name, "create", "--filename", "-"],
        input=json.dumps(pod),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'violates PodSecurity "restricted:latest"' in refused.stderr
