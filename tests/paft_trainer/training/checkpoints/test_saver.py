"""When training saves and what that costs it, in one process."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tests.paft_trainer.training.checkpoints.held_store import HeldStore
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

from paft_trainer.keeping.saved_checkpoints import list_checkpoints
from paft_trainer.launching.heartbeats import Heartbeat
from paft_trainer.reporting import Reporter
from paft_trainer.storage import StorageUnavailable
from paft_trainer.storage.file_store import FileStore
from paft_trainer.training.adapter_state import AdapterState, share_of
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.checkpoints.background_save import Snapshot
from paft_trainer.training.checkpoints.checkpoint import TrainerPosition, encode_trainer_state
from paft_trainer.training.checkpoints.saver import CheckpointSaver
from paft_trainer.training.stop_signal import StopSignal

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("saver")
    build_checkpoint(root / "base")
    write_sums(root)
    return root


@pytest.fixture
def open_session(root: Path, tmp_path: Path) -> Callable[..., ArmSession]:
    """A session of one process; `training` in the job's terms."""

    def open_one(store: FileStore, **training: object) -> ArmSession:
        run_spec = arm_run_spec(
            "sft", base=root / "base", data=root / "chats.jsonl", artifacts=tmp_path, training=training
        )
        assert run_spec.sft is not None
        return ArmSession(
            run_spec=run_spec,
            arm=run_spec.sft.spec,
            world=run_spec.sft.world,
            store=store,
            reporter=Reporter(run_spec.identity, None),
            stop_signal=StopSignal(),
            heartbeat=Heartbeat(tmp_path, 0),
        )

    return open_one


def snapshot(step: int) -> Snapshot:
    state = AdapterState(weights={"a": torch.full((4,), float(step))}, moments={}, adam_step=step)
    share = share_of(state, rank=0, ranks=1)
    position = TrainerPosition(step=step, scheduler={})
    return Snapshot(
        step=step,
        share=share,
        random_state={"cpu": torch.get_rng_state()},
        trainer_state=encode_trainer_state(position, share),
        eval_loss=None,
    )


def end_step(saver: CheckpointSaver) -> bool:
    """As at the end of each step; whether a save is due."""
    return saver.hear(saver.tell())


def steps_in(session: ArmSession) -> list[int]:
    return [saved.step for saved in list_checkpoints(FileStore(), session.attempts_folder)]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_save_is_due_so_many_seconds_after_the_last_one(open_session: Callable[..., ArmSession]) -> None:
    clock, session = Clock(), open_session(FileStore(), saveSeconds=60)
    with CheckpointSaver(session, CPU, clock=clock) as saver:
        assert not end_step(saver)
        clock.now += 59
        assert not end_step(saver)
        clock.now += 1
        assert end_step(saver)
        # Whatever brings it about.
        saver.save(lambda: snapshot(3))
        clock.now += 59
        assert not end_step(saver)
        clock.now += 1
        assert end_step(saver)


def test_no_save_is_due_by_time_unless_asked_for(open_session: Callable[..., ArmSession]) -> None:
    clock, session = Clock(), open_session(FileStore())
    with CheckpointSaver(session, CPU, clock=clock) as saver:
        end_step(saver)
        clock.now += 1e6
        assert not end_step(saver)


@pytest.fixture
def later() -> Iterator[Callable[[Callable[[], None]], threading.Thread]]:
    """Starts what blocks."""
    threads: list[threading.Thread] = []

    def start(call: Callable[[], None]) -> threading.Thread:
        threads.append(threading.Thread(target=call))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join()


def test_training_goes_on_during_a_save_and_waits_for_it_at_the_next_one(
    open_session: Callable[..., ArmSession], later: Callable[[Callable[[], None]], threading.Thread]
) -> None:
    slow = HeldStore()
    session = open_session(slow, keep={"last": 1, "best": 0})
    with CheckpointSaver(session, CPU) as saver:
        saver.save(lambda: snapshot(1))
        assert not end_step(saver)
        assert session.save_stall.saves == 1
        assert session.save_stall.seconds < 1
        assert session.reporter.progress.checkpoint_step is None

        copied: list[int] = []

        def next_snapshot() -> Snapshot:
            copied.append(2)
            return snapshot(2)

        waiting = later(lambda: saver.save(next_snapshot))
        waiting.join(timeout=0.3)
        # Not even copied, so that only one is in memory.
        assert waiting.is_alive()
        assert copied == []
        slow.let_go()
        waiting.join()
        assert session.reporter.progress.checkpoint_step == 1
    assert session.reporter.progress.checkpoint_step == 2
    assert session.save_stall.saves == 2
    assert session.save_stall.seconds >= 0.3
    assert steps_in(session) == [2]


def test_the_end_of_training_waits_for_the_last_save(
    open_session: Callable[..., ArmSession], capsys: pytest.CaptureFixture[str]
) -> None:
    slow = HeldStore()
    session = open_session(slow)
    with CheckpointSaver(session, CPU) as saver:
        saver.save(lambda: snapshot(7))
        threading.Timer(0.2, slow.let_go).start()
    assert steps_in(session) == [7]
    assert session.save_stall.final_seconds >= 0.1
    assert capsys.readouterr().out.startswith("checkpoint of step 7: complete after 0.")


def test_an_upload_that_failed_ends_training_at_its_next_step(open_session: Callable[..., ArmSession]) -> None:
    broken = HeldStore(error=StorageUnavailable("it does not answer", remedy="Mend it."))
    with pytest.raises(StorageUnavailable), CheckpointSaver(open_session(broken), CPU) as saver:
        saver.save(lambda: snapshot(1))
        end_step(saver)
        broken.let_go()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            end_step(saver)
            time.sleep(0.01)


def test_an_upload_that_fails_after_the_last_step_is_told_too(open_session: Callable[..., ArmSession]) -> None:
    broken = HeldStore(error=StorageUnavailable("it does not answer", remedy="Mend it."))
    broken.let_go()
    with pytest.raises(StorageUnavailable), CheckpointSaver(open_session(broken), CPU) as saver:
        saver.save(lambda: snapshot(1))


def test_a_save_before_training_fails_counts(open_session: Callable[..., ArmSession]) -> None:
    session = open_session(FileStore())

    def fail() -> None:
        with CheckpointSaver(session, CPU) as saver:
            saver.save(lambda: snapshot(4))
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert steps_in(session) == [4]
    assert session.reporter.progress.checkpoint_step == 4
