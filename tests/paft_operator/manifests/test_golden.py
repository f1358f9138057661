"""Every manifest in every situation is, as a whole, what the files say. They say how to be written anew: golden.py."""

import pytest
from tests.paft_operator.manifests.golden import (
    ATTEMPTS,
    FOLDER,
    SITUATIONS,
    TOGETHER,
    expected,
    expected_set,
    objects_of,
    set_of_both_arms,
)

from paft_api.stages import StageName


@pytest.mark.parametrize(("situation", "stage"), SITUATIONS)
def test_manifests_are_as_written_down(situation: str, stage: StageName) -> None:
    assert objects_of(situation, stage) == expected(situation, stage)


def test_both_arms_at_once_are_as_written_down() -> None:
    assert set_of_both_arms() == expected_set()


def test_no_file_is_left_over() -> None:
    files = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml"))

    assert files == sorted(
        [
            f"{TOGETHER}/job.yaml",
            f"{TOGETHER}/job_set.yaml",
            *(
                f"{situation}/{name}.yaml"
                for situation in ATTEMPTS
                for name in ["job", *(stage.value for stage in StageName)]
            ),
        ]
    )
