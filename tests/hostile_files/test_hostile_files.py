"""One trial of each kind of the campaign, some clean runs, and proof that the trials notice what they are there for."""

from pathlib import Path

import pytest
from tests.campaigns.hostile_files import PAGE, all_cases
from tests.campaigns.results import BEGIN, END
from tests.hostile_files import trials
from tests.hostile_files.cases import KINDS, TRIALS, HostileCase, clean_cases, hostile_cases
from tests.hostile_files.folders import TARGETS, GoodFolders, build_good_folders
from tests.hostile_files.trials import judge, judge_clean

from paft_trainer.verification import published

CLEAN = 20


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> GoodFolders:
    return build_good_folders(tmp_path_factory.mktemp("hostile"))


def one_of(kind: str, target: str) -> HostileCase:
    return next(case for case in hostile_cases() if case.group == kind and case.target == target)


@pytest.mark.parametrize("case", hostile_cases(len(KINDS)), ids=lambda case: case.key)
def test_nothing_hostile_passes(case: HostileCase, good: GoodFolders) -> None:
    _, problems = judge(case, good)
    assert problems == []


def test_clean_folders_give_no_alarm(good: GoodFolders) -> None:
    assert {case.key: judge_clean(case.key, case.target, good) for case in clean_cases(CLEAN)} == {
        case.key: [] for case in clean_cases(CLEAN)
    }


def test_the_campaign_has_all_kinds_in_all_folders_under_keys_of_their_own() -> None:
    cases = all_cases()
    keys = [case.key for case in cases]
    assert len(keys) == len({*keys}) == TRIALS + 100
    assert len(KINDS) >= 25
    assert all(len([case for case in cases if case.group == kind.name]) >= 10 for kind in KINDS)
    assert {case.target for case in cases} == {*TARGETS}


def test_what_is_overlooked_is_noticed(good: GoodFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "compare_files", lambda expected, found, *, kind: [])
    outcome, problems = judge(one_of("bit flipped in a tensor", "merged"), good)
    assert (outcome, problems) == ("silent", ["verifying did not find it"])


def test_what_is_accepted_on_reading_is_noticed(good: GoodFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "index_base", lambda store, uri, artifacts_uri: None)
    _, problems = judge(one_of("overlapping tensors", "merged"), good)
    assert problems == ["reading accepted it"]


def test_another_error_than_ours_is_noticed(good: GoodFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(store: object, uri: str) -> None:
        raise KeyError("data_offsets")

    monkeypatch.setattr(trials, "read_adapter", break_down)
    _, problems = judge(one_of("entry that lacks a field", "adapter"), good)
    assert problems == ["reading raised KeyError: 'data_offsets'", "reading accepted it"]


def test_memory_is_noticed(good: GoodFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "PEAK_BYTES", 1_000)
    _, problems = judge(one_of("giant header", "base"), good)
    assert problems[0].endswith("bytes of memory")


def test_harm_that_nobody_notices_is_no_harmlessness(good: GoodFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flip that changes what the manifest says of a file, and a verification that does not look."""
    monkeypatch.setattr(trials, "verify", lambda *arguments, **options: trials.Verification(folders=(), seconds=0.0))
    monkeypatch.setattr(trials, "read_adapter", lambda store, uri: None)
    outcomes = [judge(case, good) for case in hostile_cases() if case.group == "bit flipped in the manifest"]
    assert ("harmless", ["nobody noticed, and it is not harmless"]) in outcomes


def test_a_false_alarm_is_noticed(good: GoodFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if every file in the folder had been published, and was not there.
    monkeypatch.setattr(published, "links_out_of", lambda uri, names: [(name, Path("/")) for name in names])
    cases = [case for case in clean_cases() if case.target == "merged"]
    assert any(judge_clean(case.key, case.target, good) for case in cases)


def test_the_page_has_a_place_for_the_table() -> None:
    text = Path(PAGE).read_text(encoding="utf-8")
    assert text.index(BEGIN) < text.index(END)
