"""A real small model on a real node: SmolLM2-135M-Instruct, a few steps of both arms, and the merge."""

from pathlib import Path

import pytest
from hack.seaweedfs import S3Server, s3_client
from hack.smollm2 import build_smollm2
from tests.node.node_cluster import BUCKET, NodeNamespace, small_job, stage
from transformers import AutoModelForCausalLM, AutoTokenizer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

EXAMPLES = Path(__file__).parents[2] / "examples" / "data"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def base(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The model and the example data in object storage."""
    folder = tmp_path_factory.mktemp("smollm2")
    build_smollm2(folder)
    with s3_client(s3_server) as client:
        for path in folder.iterdir():
            client.upload_file(str(path), BUCKET, f"smollm2/{path.name}")
        for name, source in (("chats", "gsm8k-train"), ("pairs", "pairs-train")):
            client.upload_file(str(EXAMPLES / f"{source}.jsonl"), BUCKET, f"gsm8k/{name}.jsonl")
    return f"s3://{BUCKET}/smollm2/"


def test_smollm2_is_trained_merged_and_speaks(base: str, place: NodeNamespace, tmp_path: Path) -> None:
    name = "smollm2"
    manifest = small_job(place, name, base, f"s3://{BUCKET}/gsm8k/", steps=2)
    for arm in ("sft", "preference"):
        manifest["spec"][arm]["training"] |= {"maxLength": 128, "learningRate": 1.0e-4}
        manifest["spec"][arm]["resources"] |= {"memory": "4Gi", "sharedMemory": "512Mi"}
    manifest["spec"]["merge"]["resources"]["memory"] = "4Gi"
    place.create(manifest)
    job = place.wait_for_phase(name, "Succeeded", seconds=1500)

    assert {one["attempt"] for one in job["status"]["stages"]} == {1}
    assert float(stage(job["status"], "sft")["loss"]) < 5
    for path, content in place.objects(job["status"]["output"]["uri"]).items():
        (tmp_path / path).write_bytes(content)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    prompt = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**prompt, max_new_tokens=16, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0, prompt["input_ids"].shape[1] :])
