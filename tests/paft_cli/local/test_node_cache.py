"""Where parts of the base are kept on this machine."""

import json
from typing import Any

import pytest
from tests.paft_cli.workplace import Workplace

from paft_api.run_spec import NodeCache, RunSpec
from paft_api.stages import StageName


@pytest.mark.parametrize(
    ("cache", "place", "max_bytes"),
    [
        (None, "here", 200 * 2**30),
        ({"hostPath": {"path": "/mnt/paft"}, "maxSize": "1Gi"}, "/mnt/paft", 2**30),
        ({"persistentVolumeClaim": {"claimName": "bases"}}, "here", 200 * 2**30),
        ({"emptyDir": {"sizeLimit": "2Gi"}}, "here", 2 * 2**30),
    ],
)
def test_stages_are_told_the_folder_of_the_machine_or_ours(
    workplace: Workplace, cache: dict[str, Any] | None, place: str, max_bytes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = str(workplace.path / ".paft" / "cache" / "node")
    if cache is not None:
        workplace.change(lambda spec: spec["base"].update(cache=json.loads(json.dumps(cache))))
    workplace.script(prepare_fail="1:DataInvalid")
    workplace.run()

    told = RunSpec.model_validate_json(workplace.job.attempt(StageName.PREPARE, 1).run_spec_file.read_text())
    assert told.base_cache == NodeCache(directory=ours if place == "here" else place, max_bytes=max_bytes)
    is_volume = cache is not None and "hostPath" not in cache
    assert (f"base.cache is a volume in clusters; here it is {ours}" in _words(capsys.readouterr().out)) is is_volume


def _words(text: str) -> str:
    return " ".join(text.split())
