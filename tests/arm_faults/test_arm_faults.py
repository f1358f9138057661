"""A sample of the campaign: one fault of each kind, two at a time. And that trials notice what they are there for."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.arm_faults.drawn_trials import Kind, Nodes, drawn
from tests.arm_faults.small_disk import can_mount
from tests.arm_faults.trials import Outcome, Trials
from tests.arm_faults.verdicts import wrong_result
from tests.campaigns.arm_faults import PAGE, all_trials
from tests.campaigns.results import BEGIN, END

from paft_api.stages import StageName

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ON_TWO_RANKS, ON_TWO_NODES = Nodes(nodes=1, processes=2), Nodes(nodes=2, processes=1)
LANES = 2

SAMPLE = [
    replace(drawn(Kind.HANG, 0), victim=1, after=Nodes(nodes=1, processes=1)),
    replace(drawn(Kind.LOST_PEER, 0), before=ON_TWO_NODES, after=ON_TWO_RANKS, moment=4),
    replace(drawn(Kind.NAN, 0), after=ON_TWO_RANKS, moment=6, victim=1, variant="gradient nan"),
    replace(drawn(Kind.RANK_KILLED, 0), after=Nodes(nodes=1, processes=3), victim=0, moment=5),
    replace(drawn(Kind.FULL_DISK, 0), after=ON_TWO_RANKS, moment=3, variant="artifacts"),
    replace(drawn(Kind.TORN, 0), after=Nodes(nodes=1, processes=4), moment=8, victim=1),
    replace(drawn(Kind.STOPPED, 1), after=ON_TWO_RANKS, moment=2),
]
"""The longest first. All but the first world of two nodes begin on two ranks, which one unbroken arm is enough for."""


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Trials:
    return Trials(tmp_path_factory.mktemp("arm-faults"))


@pytest.fixture(scope="module")
def outcomes(trials: Trials, tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Outcome]:
    sample = [trial if trial.kind is Kind.LOST_PEER else replace(trial, before=ON_TWO_RANKS) for trial in SAMPLE]
    if not can_mount(tmp_path_factory.mktemp("disk") / "small"):
        sample = [trial for trial in sample if trial.kind is not Kind.FULL_DISK]
    with ThreadPoolExecutor(LANES) as lanes:
        return dict(zip([trial.kind for trial in sample], lanes.map(trials.judge, sample), strict=True))


@pytest.mark.parametrize("kind", Kind)
def test_a_fault_costs_at_most_an_interval_of_steps(kind: Kind, outcomes: dict[Kind, Outcome]) -> None:
    if kind not in outcomes:
        pytest.skip("a small disk can be mounted by root only")
    assert outcomes[kind].problems == []
    assert outcomes[kind].happened


def test_an_adapter_that_is_another_is_noticed(trials: Trials, outcomes: dict[Kind, Outcome]) -> None:
    with_dropout, without = (trials.unbroken(StageName.SFT, 2, dropout) for dropout in (0.1, 0.0))
    assert [*wrong_result(with_dropout, with_dropout, same_world=True)] == []
    assert [*wrong_result(without, with_dropout, same_world=True)]
    assert [*wrong_result(without, with_dropout, same_world=False)]


def test_the_campaign_has_sixty_trials_of_each_kind_and_every_world() -> None:
    trials = all_trials()
    assert len({trial.key for trial in trials}) == len(trials)
    for kind in Kind:
        of_kind = [trial for trial in trials if trial.kind is kind]
        assert len(of_kind) >= 60
        assert {trial.after.ranks for trial in of_kind} == {1, 2, 3, 4}
        assert {trial.stage for trial in of_kind} == {StageName.SFT, StageName.PREFERENCE}


def test_a_trial_can_be_repeated() -> None:
    assert drawn(Kind.TORN, 7) == drawn(Kind.TORN, 7)
    assert [drawn(Kind.TORN, 7).draws.random()] == [drawn(Kind.TORN, 7).draws.random()]


def test_the_page_has_a_place_for_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.index(BEGIN) < text.index(END)
