from paft_api import layout
from paft_api.labels import attempt_labels
from paft_api.stages import StageName

DIGEST = "sha256:" + "ab" * 32


def test_a_finished_artifact_is_found_by_its_digest_alone() -> None:
    assert layout.stage_folder("s3://paft/team/", StageName.SFT, DIGEST) == f"s3://paft/team/sft/{'ab' * 32}/"
    assert layout.reference_folder("s3://paft/team/", DIGEST) == f"s3://paft/team/index/{'ab' * 32}.reference/"
    assert layout.index_uri("s3://paft/team/", DIGEST) == f"s3://paft/team/index/{'ab' * 32}.json"


def test_attempts_lie_inside_their_artifact_s_folder_and_apart_from_each_other() -> None:
    stage = layout.stage_folder("s3://paft/", StageName.SFT, DIGEST)
    attempts = layout.attempts_folder("s3://paft/", StageName.SFT, DIGEST)
    first, second = (layout.attempt_folder("s3://paft/", StageName.SFT, DIGEST, "uid", number) for number in (1, 2))

    assert first.startswith(attempts)
    assert attempts.startswith(stage)
    assert not second.startswith(first)
    assert first == f"{attempts}uid-1/"


def test_checkpoints_sort_by_step() -> None:
    folders = [layout.checkpoint_folder("s3://paft/attempt/", step) for step in (9, 10, 200, 10_000_000)]

    assert sorted(folders) == folders
    assert folders[2] == "s3://paft/attempt/checkpoints/step-00000200/"


def test_candidates_lie_in_the_output_each_in_a_folder_of_its_own() -> None:
    assert layout.candidate_folder("s3://models/fused/", "halved") == "s3://models/fused/candidates/halved/"


def test_labels_are_valid_for_kubernetes() -> None:
    labels = attempt_labels("j" * 40, StageName.PREFERENCE, 12)

    assert all(0 < len(value) <= 63 for value in labels.values())
    assert labels["paft.dev/stage"] == "preference"
    assert labels["paft.dev/attempt"] == "12"
