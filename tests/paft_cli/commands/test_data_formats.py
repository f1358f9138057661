"""Every form of rows, in every type of file, through the real command line: one job that trains on all of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.paft_cli.data_jobs import ROWS_OF_EACH, preference_sources, sft_sources, write_job

from paft_cli.local.directories import JobDirectory
from paft_cli.local.local_job import read_status
from paft_trainer.storage.file_store import uri_of

pytestmark = pytest.mark.slow


def paft(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "paft_cli", *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


def test_one_job_trains_on_rows_of_every_form_from_files_of_every_type(tmp_path: Path) -> None:
    sft, preference = sft_sources(tmp_path), preference_sources(tmp_path)
    with (tmp_path / "messages.jsonl").open("a") as file:
        file.write('{"messages": []}\n')
    job = write_job(tmp_path, sft=sft, preference=preference, maxBadRows=1)

    ended = paft(tmp_path, "data", "preview", job.name, "--json", "--rows", "1")
    assert ended.returncode == 0, ended.stderr
    previews = {preview["source"]: preview for preview in json.loads(ended.stdout)["sources"]}
    assert len(previews) == len(sft) + len(preference) == 30 + 6
    assert {preview["rowsCounted"] for preview in previews.values()} == {ROWS_OF_EACH}
    # The same rows are the same tokens, whatever file they come from.
    tokens = {
        (preview["format"], preview["uri"].rpartition(".")[0].rpartition("/")[2], json.dumps(row["sequences"]))
        for preview in previews.values()
        if not preview["uri"].endswith("/")
        for row in preview["rows"]
    }
    assert len(tokens) == 5 + 2

    ended = paft(tmp_path, "run", job.name)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (tmp_path / "fused" / "config.json").exists()
    status = read_status(JobDirectory(tmp_path / ".paft" / "jobs" / "formats"))
    assert status is not None
    left_out = f"data.train: 1 wrong row is left out: {uri_of(tmp_path / 'messages.jsonl')}:5: messages is []"
    assert left_out in status.to_json()
