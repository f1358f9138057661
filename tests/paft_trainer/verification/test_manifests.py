"""Manifests are read as those of strangers."""

import re
from typing import Any

import pytest

from paft_api.digests import file_set_digest
from paft_trainer.verification.manifests import BrokenManifest, check_claim, check_digests, parse_manifest

SHA256 = "a" * 64
DIGEST = file_set_digest({"config.json": SHA256})
RECIPE = {"recipeDigest": f"sha256:{'1' * 64}", "base": {"uri": "s3://b/", "digest": f"sha256:{'2' * 64}"}}
GOOD: dict[str, Any] = RECIPE | {
    "kind": "merge",
    "digest": DIGEST,
    "files": {"config.json": {"size": 3, "sha256": SHA256}},
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "adapter"}, "it is no manifest of kind merge"),
        ({"digest": "sha256:x"}, "it has no digest"),
        ({"digest": f"{DIGEST}\n"}, "it has no digest"),
        ({"files": {}}, "it lists no files"),
        ({"files": []}, "it lists no files"),
        *(
            ({"files": {name: GOOD["files"]["config.json"]}}, f"it lists {name!r}, which is no name of a file in the")
            for name in ("../x", "/etc/passwd", "a/../x", "", ".", "a//b", "a\n", "\x1b[2J")
        ),
        *(
            ({"files": {"x": entry}}, "it tells no size and SHA-256 of 'x'")
            for entry in (
                None,
                3,
                {"size": -1, "sha256": SHA256},
                {"size": 1.0, "sha256": SHA256},
                {"size": 1, "sha256": SHA256[1:]},
                {"size": 1, "sha256": SHA256.upper()},
                {"size": 1},
            )
        ),
    ],
)
def test_broken_ones_are_refused_with_the_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(BrokenManifest, match=f"^{re.escape(reason)}"):
        parse_manifest(GOOD | change, "merge")


def test_the_digest_is_that_of_the_files_and_of_whoever_asked() -> None:
    manifest = parse_manifest(GOOD, "merge")
    assert (
        check_digests(manifest, "m", expected_digest=None) == check_digests(manifest, "m", expected_digest=DIGEST) == []
    )
    other = f"sha256:{'3' * 64}"
    (asked,) = check_digests(manifest, "m", expected_digest=other)
    assert asked.message == f"its digest is {DIGEST}, but {other} was asked for"
    (changed,) = check_digests(parse_manifest(GOOD | {"digest": other}, "merge"), "m", expected_digest=None)
    assert changed.message == f"its digest is {other}, but its files give {DIGEST}: it was changed"


ONE, NINE = f"sha256:{'1' * 64}", f"sha256:{'9' * 64}"
CLAIMED = {"claimedDigest": ONE}
ELSEWHERE = RECIPE | {"base": {"uri": "s3://c/", "listingDigest": ""}}
LISTED = RECIPE | {"base": {"uri": "s3://b/", "listingDigest": f"sha256:{'4' * 64}"}}


@pytest.mark.parametrize(
    ("claim", "manifest", "message"),
    [
        (RECIPE, {}, None),
        # The base was read on the way: its claim knew it by its listing.
        (LISTED, CLAIMED | {"recipeDigest": NINE}, None),
        (
            LISTED | {"base": {"uri": "s3://c/", "listingDigest": ""}},
            {"claimedDigest": RECIPE["recipeDigest"]},
            "base is",
        ),
        (
            {"recipeDigest": f"sha256:{'9' * 64}"},
            {},
            f"recipeDigest is 'sha256:{'9' * 64}' here, but 'sha256:{'1' * 64}'",
        ),
        ({}, {}, "recipeDigest is None here"),
        (RECIPE | {"merge": {"method": "ties"}}, {"merge": {"method": "slerp"}}, "merge is {'method': 'ties'} here"),
    ],
)
def test_the_claim_and_the_manifest_tell_of_one_recipe(
    claim: dict[str, Any], manifest: dict[str, Any], message: str | None
) -> None:
    problems = check_claim(parse_manifest(GOOD | manifest, "merge"), claim, "paft_claim.json")
    if message is None:
        assert problems == []
    else:
        assert [problem.message.startswith(message) for problem in problems] == [True]


def test_the_claim_of_an_adapter_tells_its_digest() -> None:
    manifest = parse_manifest(GOOD | {"kind": "adapter"}, "adapter")
    assert check_claim(manifest, {"digest": DIGEST, "source": "s3://b/a/"}, "c") == []
    assert check_claim(manifest, {"source": "s3://b/a/"}, "c") != []
