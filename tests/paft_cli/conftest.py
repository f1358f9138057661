"""Fixture of tests that run a job."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.paft_cli.workplace import Workplace


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """An empty state and a valid job, in a fresh current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAFT_HOME", raising=False)
    monkeypatch.setenv("PLAYER_FOLDER", str(tmp_path / "player"))
    (tmp_path / "player").mkdir()
    spec = {
        "base": {"uri": f"file://{tmp_path}/base/"},
        "storage": {"artifactsUri": f"file://{tmp_path}/artifacts/"},
        "sft": _arm(f"file://{tmp_path}/chat.jsonl", "messages"),
        "preference": _arm(f"file://{tmp_path}/pairs.jsonl", "preference"),
        "merge": {"output": {"uri": f"file://{tmp_path}/output/"}},
    }
    document = {"apiVersion": "paft.dev/v1alpha1", "kind": "PaftJob", "metadata": {"name": "played"}, "spec": spec}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return Workplace(path=tmp_path)


def _arm(uri: str, data_format: str) -> dict[str, Any]:
    return {
        "data": {"train": [{"uri": uri, "format": data_format}]},
        "training": {"globalBatchSize": 8},
        "resources": {"gpusPerNode": 0},
    }
