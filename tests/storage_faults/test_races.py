"""A sample of the campaign's races, and proof that they notice what they are there for."""

import json
from collections.abc import Iterator

import pytest
from hack import seaweedfs
from tests.storage_faults.places import upload_sources
from tests.storage_faults.races import KINDS, RACES, Races, all_races

from paft_api.layout import CLAIM_FILE
from paft_trainer.storage import ObjectStore

SAMPLE = 12


@pytest.fixture(scope="module")
def races(s3_server: seaweedfs.S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Races]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in s3_server.environment.items():
            environment.setenv(name, value)
        upload_sources(s3_server, tmp_path_factory.mktemp("races") / "sources")
        with Races.of(s3_server) as races:
            yield races


def test_one_publisher_wins_and_nothing_is_mixed(races: Races) -> None:
    assert {race.key: races.judge(race) for race in all_races(SAMPLE)} == {race.key: [] for race in all_races(SAMPLE)}


def test_the_campaign_has_races_of_all_kinds_and_sizes() -> None:
    races = all_races()
    assert len(races) == len({race.key for race in races}) == RACES
    assert {race.group for race in races} == {*KINDS}
    assert {len(race.recipes) for race in races} == {*range(2, 9)}
    assert all((len({*race.recipes}) > 1) == (race.group in (KINDS[1], KINDS[3])) for race in races)


@pytest.mark.parametrize("kind", [KINDS[1], KINDS[3]])
def test_a_claim_that_does_not_hold_is_noticed(races: Races, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """As if everybody believed to have the claim."""

    def claim_folder(store: ObjectStore, folder: str, claim: dict[str, object], **_: object) -> dict[str, object]:
        store.put(folder + CLAIM_FILE, json.dumps(claim).encode())
        return claim

    monkeypatch.setattr("paft_trainer.merge.recipe.claim_folder", claim_folder)
    monkeypatch.setattr("paft_trainer.training.adapter_publication.claim_folder", claim_folder)
    race = next(race for race in all_races() if race.group == kind and len(race.recipes) > 3)
    assert races.judge(race) != []
