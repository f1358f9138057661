"""A sample of the campaign: every fault, at a request that is drawn, in two of the operations. And proof that trials
notice what they are there for."""

from collections.abc import Iterator
from random import Random

import pytest
from hack import seaweedfs
from tests.campaigns.results import BEGIN, END
from tests.campaigns.storage_faults import PAGE
from tests.storage_faults import trials as module
from tests.storage_faults.exchanges import Fault
from tests.storage_faults.operations import OPERATIONS
from tests.storage_faults.trials import Trial, Trials, running_trials

from paft_trainer import published_adapters
from paft_trainer.storage.s3_store import S3Store


@pytest.fixture(scope="module")
def trials(s3_server: seaweedfs.S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in s3_server.environment.items():
            environment.setenv(name, value)
        with running_trials(s3_server, tmp_path_factory.mktemp("storage-faults") / "sources") as trials:
            yield trials


def drawn(trials: Trials, operation: str, fault: Fault, *, about: str = "") -> Trial:
    fitting = [
        trial
        for trial in trials.of(operation)
        if trial.fault is fault and about in f"{trial.request.method} {trial.request.target}"
    ]
    return Random(f"{operation} {fault}").choice(fitting)


def sample() -> Iterator[tuple[str, Fault]]:
    """Every fault in two operations, and every operation with several of them."""
    names = list(OPERATIONS)
    for number, fault in enumerate(Fault):
        yield names[number % len(names)], fault
        yield names[(number + 2) % len(names)], fault


@pytest.mark.parametrize(("operation", "fault"), [*sample()])
def test_no_fault_does_harm(trials: Trials, operation: str, fault: Fault) -> None:
    trial = drawn(trials, operation, fault)
    outcome = trials.judge(trial)
    assert outcome.happened == [f"{fault}: {trial.request}"]
    assert outcome.problems == []


def test_the_campaign_has_every_request_and_every_fault(trials: Trials) -> None:
    for operation in OPERATIONS:
        all_trials = trials.of(operation)
        keys = [trial.key for trial in all_trials]
        assert len(keys) == len({*keys})
        assert {trial.fault for trial in all_trials} == {*Fault}
        requests = {exchange.request for exchange in trials.clean(operation).exchanges}
        for fault in (Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.ERROR, Fault.STALL, Fault.KILL_BEFORE):
            assert {trial.request for trial in all_trials if trial.fault is fault} == requests


def test_an_object_that_is_another_is_noticed(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = drawn(trials, "publish", Fault.ERROR, about="HEAD")
    put = S3Store.put
    monkeypatch.setattr(
        S3Store, "put", lambda store, uri, data, **options: put(store, uri, data.replace(b"2.5", b"3.5"), **options)
    )
    assert any("paft_manifest.json" in problem for problem in trials.judge(trial).problems)


def test_an_upload_that_is_left_is_noticed(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = drawn(trials, "checkpoint", Fault.KILL_BEFORE, about="partNumber=2")
    monkeypatch.setattr(S3Store, "abort_upload", lambda store, upload: None)
    assert any(problem.startswith("cannot clean up the upload") for problem in trials.judge(trial).problems)


def test_a_manifest_that_is_not_true_is_noticed(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the manifest were written before the files it names."""
    trial = drawn(trials, "publish", Fault.RESET_BEFORE, about="HEAD")

    def copy_too_little(store: S3Store, source: str, folder: str, sha256: str) -> None:
        store.put(f"{folder}paft_manifest.json", store.read(f"{source}paft_manifest.json"))

    monkeypatch.setattr(published_adapters, "_copy_files", copy_too_little)
    assert any("adapter_config.json: it is not there" in problem for problem in trials.judge(trial).problems)


def test_an_error_that_is_none_of_ours_is_noticed(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = drawn(trials, "publish", Fault.SLOW_DOWN, about="HEAD")
    monkeypatch.setattr(module, "attempt", lambda operation, place: ("KeyError: 'x'", None))
    problems = trials.judge(trial).problems
    assert "ended with KeyError: 'x'" in problems
    assert "begun again it ended with KeyError: 'x'" in problems


def test_the_page_has_a_place_for_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.index(BEGIN) < text.index(END)
