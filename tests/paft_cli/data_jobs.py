"""Jobs whose rows come in every form, and in files of every type."""

import json
from pathlib import Path
from typing import Any

import yaml
from datasets import Dataset, DatasetDict
from tests.paft_trainer.data.written_rows import write_rows
from tests.tiny_models import build_checkpoint

from paft_api.spec.data import FileType
from paft_trainer.storage.file_store import uri_of

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
ROWS_OF_EACH = 4


def _chat(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"{number}+1="}, {"role": "assistant", "content": str(number + 1)}]


FORMS: dict[str, Any] = {
    "messages": lambda number: {"messages": _chat(number)},
    "prompt-completion": lambda number: {"prompt": f"{number}+2=", "completion": str(number + 2)},
    "text": lambda number: {"text": f"{number}+3={number + 3}"},
    "sharegpt": lambda number: {
        "conversations": [{"from": "human", "value": f"{number}+4="}, {"from": "gpt", "value": str(number + 4)}]
    },
    "alpaca": lambda number: {"instruction": "Add.", "input": f"{number}+5=", "output": str(number + 5)},
}
PAIRS: dict[str, Any] = {
    "texts": lambda number: {"prompt": f"{number}+6=", "chosen": str(number + 6), "rejected": "0"},
    "chats": lambda number: {
        "chosen": _chat(number),
        "rejected": [_chat(number)[0], {"role": "assistant", "content": "0"}],
    },
}


def sft_sources(folder: Path) -> list[dict[str, Any]]:
    """Each form in each type of file, and what Hugging Face's library writes."""
    sources = []
    for form, row in FORMS.items():
        for type_ in (FileType.JSONL, FileType.JSON, FileType.CSV, FileType.TSV, FileType.PARQUET, FileType.ARROW):
            rows = [row(number) for number in range(ROWS_OF_EACH)]
            path = write_rows(folder, type_, rows, name=form)
            sources.append({"uri": uri_of(path), "format": form})
    return sources[:27] + _hugging_face(folder)


def _hugging_face(folder: Path) -> list[dict[str, Any]]:
    chats = Dataset.from_list([{"turns": _chat(number), "tools": json.dumps([TOOL])} for number in range(ROWS_OF_EACH)])
    chats.save_to_disk(folder / "saved", num_shards=2)
    DatasetDict({"train": chats, "test": chats.select([0])}).save_to_disk(folder / "splits")
    hub = folder / "hub" / "data"
    hub.mkdir(parents=True)
    chats.to_parquet(hub / "train-00000-of-00001.parquet")
    chats.select([0]).to_parquet(hub / "test-00000-of-00001.parquet")
    columns = {"format": "messages", "columns": {"messages": "turns"}}
    return [
        {"uri": f"{uri_of(folder / 'saved')}/", **columns},
        {"uri": f"{uri_of(folder / 'splits')}/", "split": "train", **columns},
        {"uri": f"{uri_of(folder / 'hub')}/", "split": "train", "weight": 1.5, **columns},
    ]


def preference_sources(folder: Path) -> list[dict[str, Any]]:
    """Pairs of texts and of chats, in three types of file each."""
    sources = []
    for form, row in PAIRS.items():
        for type_ in (FileType.JSONL, FileType.JSON, FileType.PARQUET):
            path = write_rows(folder, type_, [row(number) for number in range(ROWS_OF_EACH)], name=form)
            sources.append({"uri": uri_of(path), "format": "preference"})
    return sources


def write_job(folder: Path, *, sft: list[dict[str, Any]], preference: list[dict[str, Any]], **data: Any) -> Path:
    """`job.yaml` beside a tiny base."""
    build_checkpoint(folder / "base")
    arm = {
        "lora": {"r": 2, "targetModules": ["q_proj", "v_proj"]},
        "training": {"maxSteps": 2, "globalBatchSize": 8, "microBatchSize": 4, "maxLength": 64},
        "resources": {"gpusPerNode": 0, "processesPerNode": 2},
    }
    document = {
        "apiVersion": "paft.dev/v1alpha1",
        "kind": "PaftJob",
        "metadata": {"name": "formats"},
        "spec": {
            "base": {"uri": f"{uri_of(folder / 'base')}/"},
            "storage": {"artifactsUri": f"{uri_of(folder / 'artifacts')}/"},
            "sft": {"data": {"train": sft, **data}, **arm},
            "preference": {"data": {"train": preference}, **arm},
            "runPolicy": {"backoffLimit": 0},
            "merge": {"output": {"uri": f"{uri_of(folder / 'fused')}/"}},
        },
    }
    job = folder / "job.yaml"
    job.write_text(yaml.safe_dump(document), encoding="utf-8")
    return job
