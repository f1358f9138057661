"""The manifests of every stage in a few situations, as files: `python -m tests.paft_operator.manifests.golden --write`.

Each folder of `situations/` holds a PaftJob and, for each stage, the objects of one attempt. Regenerate them after a
change of the builders, and read the difference: it is what clusters will get.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from paft_api.run_spec import AdapterReference
from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_operator.manifests.attempt_objects import attempt_objects
from paft_operator.manifests.settings import Manifest, ManifestSettings
from paft_operator.manifests.workload import workload
from paft_operator.planner.actions import StartAttempt

FOLDER = Path(__file__).parent / "situations"
ATTEMPTS = {
    "defaults": 1,
    "cpu_only": 1,
    "four_by_eight_gpus": 1,
    "own_service_account": 2,
    "secret_and_endpoint": 1,
    "many_sources": 1,
    "cache_on_a_claim": 1,
    "cache_in_the_pod": 1,
    "pod_template": 1,
    "third_attempt_of_a_long_name": 3,
    "queued": 1,
    "job_sets": 2,
}
"""Number of the attempt in each situation."""

WITH_JOB_SETS = {"job_sets", "both_arms_at_once"}
"""Situations in which JobSet is installed."""
TOGETHER = "both_arms_at_once"
"""The situation in which both arms start together; its one file is their JobSet."""

SETTINGS = ManifestSettings(trainer_image="registry.example.com/paft/trainer:0.1.0")
DIGESTS = {
    StageName.PREPARE: None,
    StageName.SFT: "sha256:" + "5" * 64,
    StageName.PREFERENCE: "sha256:" + "d" * 64,
    StageName.MERGE: "sha256:" + "e" * 64,
}


SITUATIONS = [(name, stage) for name in ATTEMPTS for stage in StageName]
"""Every file of expected manifests."""


def job_of(situation: str) -> PaftJob:
    """The PaftJob of a situation."""
    document = yaml.safe_load((FOLDER / situation / "job.yaml").read_text(encoding="utf-8"))
    return PaftJob.model_validate_json(json.dumps(document))


def start_of(stage: StageName, attempt: int) -> StartAttempt:
    """The planner's decision to start an attempt."""
    is_merge = stage is StageName.MERGE
    return StartAttempt(
        stage=stage,
        attempt=attempt,
        base_digest=None if stage is StageName.PREPARE else "sha256:" + "b" * 64,
        stage_digest=DIGESTS[stage],
        sft_adapter=_adapter(StageName.SFT) if is_merge else None,
        preference_adapter=_adapter(StageName.PREFERENCE) if is_merge else None,
    )


def objects_of(situation: str, stage: StageName) -> tuple[Manifest, ...]:
    """What the builders make."""
    return attempt_objects(job_of(situation), start_of(stage, ATTEMPTS[situation]), settings_of(situation))


def settings_of(situation: str) -> ManifestSettings:
    """Of the installation."""
    return replace(SETTINGS, has_job_sets=situation in WITH_JOB_SETS)


def set_of_both_arms() -> tuple[Manifest, ...]:
    """What the builders make where both arms start together, in different attempts."""
    starts = [start_of(StageName.SFT, 2), start_of(StageName.PREFERENCE, 1)]
    return (workload(job_of(TOGETHER), starts, settings_of(TOGETHER)),)


def expected_set() -> tuple[Manifest, ...]:
    """What the file says."""
    return tuple(yaml.safe_load_all(_SET_FILE.read_text(encoding="utf-8")))


def expected(situation: str, stage: StageName) -> tuple[Manifest, ...]:
    """What the file says."""
    return tuple(yaml.safe_load_all(_file(situation, stage).read_text(encoding="utf-8")))


def _adapter(stage: StageName) -> AdapterReference:
    digest = DIGESTS[stage]
    assert digest is not None
    return AdapterReference(uri=f"s3://paft/artifacts/{stage}/{digest.removeprefix('sha256:')}/", digest=digest)


def _file(situation: str, stage: StageName) -> Path:
    return FOLDER / situation / f"{stage}.yaml"


_SET_FILE = FOLDER / TOGETHER / "job_set.yaml"


class _ReadableDumper(yaml.SafeDumper):
    """Text of several lines as such, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_ReadableDumper.add_representer(str, _text)


def main(arguments: list[str]) -> int:
    """Write every file."""
    assert arguments == ["--write"], "usage: python -m tests.paft_operator.manifests.golden --write"
    for situation, stage in SITUATIONS:
        _write(_file(situation, stage), objects_of(situation, stage))
    _write(_SET_FILE, set_of_both_arms())
    return 0


def _write(path: Path, objects: tuple[Manifest, ...]) -> None:
    text = yaml.dump_all(objects, Dumper=_ReadableDumper, sort_keys=False, width=120)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
