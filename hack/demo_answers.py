"""One prompt, answered by the base, by each adapter on it, and by the fused checkpoint, all read from S3."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hack.demo_report import finished_artifacts

from paft_api.digests import digest_of
from paft_api.report import FinishedArtifact
from paft_api.stages import ARMS, StageName

NEW_TOKENS = 80
BASE_URI = "s3://models/smollm2-135m-instruct/"


def print_answers(client: Any, directory: Path, prompt: str, job_directory: Path) -> None:
    """Print four answers; those of the same artifacts are generated once and kept in `directory`."""
    artifacts = finished_artifacts(job_directory)
    identity = digest_of([prompt, NEW_TOKENS, *(artifact.digest for artifact in artifacts.values())])
    kept = directory / "answers.json"
    document = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    if document.get("identity") != identity:
        document = {"identity": identity, "answers": _answers(client, directory, prompt, artifacts)}
        kept.write_text(json.dumps(document, indent=2), encoding="utf-8")
    print(f"\nPrompt: {prompt}")
    for name, text in document["answers"].items():
        print(f"\n{name}:")
        print("\n".join(f"  {line}" for line in text.splitlines()))


def _answers(
    client: Any, directory: Path, prompt: str, artifacts: Mapping[StageName, FinishedArtifact]
) -> dict[str, str]:
    """One model is in memory at a time. Stock transformers and peft load them."""
    base = _download(client, BASE_URI, directory)
    answers = {"base": _answer(base, None, prompt)}
    for name in ARMS:
        answers[f"{name} adapter"] = _answer(base, _download(client, artifacts[name].uri, directory), prompt)
    return answers | {"fused": _answer(_download(client, artifacts[StageName.MERGE].uri, directory), None, prompt)}


def _answer(model_folder: Path, adapter_folder: Path | None, prompt: str) -> str:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model: Any = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    if adapter_folder is not None:
        model = PeftModel.from_pretrained(model, str(adapter_folder))
    chat = [{"role": "user", "content": prompt}]
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
    text: str = tokenizer.decode(output[0][inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return text.strip()


def _download(client: Any, uri: str, directory: Path) -> Path:
    """The files right in a folder of S3, skipped where the size is the same."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    folder = directory / prefix.strip("/").replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    for entry in (entry for page in pages for entry in page.get("Contents", ())):
        path = folder / entry["Key"].removeprefix(prefix)
        if not path.is_file() or path.stat().st_size != entry["Size"]:
            client.download_file(bucket, entry["Key"], str(path))
    return folder
