"""Pictures of merges show what the methods do, and can be shown wherever the guide is read."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hack.merge_pictures.__main__ import DIRECTORY, main, pages
from hack.merge_pictures.drawing import ARM_REACH, MERGED_REACH, picture
from hack.merge_pictures.example import PREFERENCE, SFT, Example, merge_example

from paft_api.spec.merge_methods import MergeMethod

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "merging.md"
LARGEST = 15_000
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("method", MergeMethod)
def test_a_picture_can_be_shown_everywhere(method: MergeMethod) -> None:
    text = picture(merge_example(method))
    root = ElementTree.fromstring(text)

    assert len(text.encode()) < LARGEST
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "t d")
    assert {root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")}.isdisjoint({None, ""})
    assert "prefers-color-scheme:dark" in root.findtext(f"{SVG}style", "")
    # As wide as a telephone's page, so that text is not made smaller there; and nothing is fetched from elsewhere.
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert int(root.get("width", "0")) <= 360
    assert re.findall(r"(?:href|url\()", text) == []


@pytest.mark.parametrize("method", MergeMethod)
def test_no_bar_leaves_its_row(method: MergeMethod) -> None:
    example = merge_example(method)

    assert np.abs(example.deltas).max() <= ARM_REACH
    assert np.abs(example.merged).max() <= MERGED_REACH


def test_the_merged_delta_is_what_the_method_makes_of_both() -> None:
    first, second = np.float64(SFT), np.float64(PREFERENCE)
    angle = np.arccos(first @ second / np.sqrt((first @ first) * (second @ second)))

    expected = {
        MergeMethod.LINEAR: (first + second) / 2,
        MergeMethod.TASK_ARITHMETIC: first + second,
        MergeMethod.SLERP: (first + second) * np.sin(angle / 2) / np.sin(angle),
        MergeMethod.MODEL_STOCK: (first + second) * np.cos(angle) / (1 + np.cos(angle)),
        MergeMethod.TIES: _ties(first, second),
        MergeMethod.SFT_ONLY: first,
        MergeMethod.PREFERENCE_ONLY: second,
    }

    for method, merged in expected.items():
        np.testing.assert_allclose(merge_example(method).merged, merged, atol=1e-6, err_msg=method)


def test_entries_that_stay_and_are_not_outvoted_make_the_merged_delta() -> None:
    for method in MergeMethod:
        example = merge_example(method)
        inside = _inside(example)
        assert ((example.merged != 0) == inside.any(axis=0)).all(), method


def test_the_deltas_show_all_that_methods_do() -> None:
    ties, crumbs = merge_example(MergeMethod.TIES), merge_example(MergeMethod.BREADCRUMBS)

    assert [int(one.sum()) for one in ties.stays] == [12, 12]
    assert all(one.any() for one in ties.outvoted)
    largest = [int(np.abs(delta).argmax()) for delta in crumbs.deltas]
    assert [bool(stays[index]) for stays, index in zip(crumbs.stays, largest, strict=True)] == [False, False]


def test_the_pictures_of_the_guide_are_current(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--directory", str(ROOT / DIRECTORY)]) == 0

    assert main(["--check", "--directory", str(tmp_path)]) == 1
    assert "ties.svg is out of date" in capsys.readouterr().err


def test_the_guide_shows_every_picture_with_words_for_it() -> None:
    shown = dict(re.findall(r"!\[([^\]]+)\]\(merging/([^)]+)\)", GUIDE.read_text(encoding="utf-8")))

    assert sorted(shown.values()) == sorted(pages())
    assert all(len(words) > 20 for words in shown)


def _inside(example: Example) -> np.ndarray:
    return np.stack([stays & ~outvoted for stays, outvoted in zip(example.stays, example.outvoted, strict=True)])


def _ties(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Density 0.5 of 24 entries, equal weights."""
    trimmed = np.stack([np.where(np.abs(one) >= np.sort(np.abs(one))[12], one, 0) for one in (first, second)])
    agree = (np.sign(trimmed) == np.sign(trimmed.sum(axis=0))) & (trimmed != 0)
    return (trimmed * agree).sum(axis=0) / np.maximum(agree.sum(axis=0), 1)
