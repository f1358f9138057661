"""Starts the ranks of an arm on this node, waits for them, and tells which failure came first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from torch.distributed.elastic.agent.server import WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.layout import stage_folder
from paft_api.report import Activity, Failure, ReportState, StageReport
from paft_api.run_spec import PreferenceRun, RunSpec, SftRun, World
from paft_trainer.base.cache_checks import require_usable_cache
from paft_trainer.base.index import index_base
from paft_trainer.base.local_base import write_local_base
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.keeping.attempt_marker import AttemptEnd
from paft_trainer.keeping.marked_attempt import best_effort
from paft_trainer.keeping.own_attempts import clean_up_before, marked_arm_attempt
from paft_trainer.launching.finished_event import use_finished_event
from paft_trainer.launching.first_failure import first_failure, own_failure
from paft_trainer.launching.hang_watch import HangWatch
from paft_trainer.launching.parent_process import die_with_parent
from paft_trainer.launching.peer_watch import PeerWatch
from paft_trainer.launching.rendezvous import NodeRendezvous, rendezvous_of
from paft_trainer.out_of_memory import OutOfMemoryCounter
from paft_trainer.published_adapters import find_published_adapter
from paft_trainer.reporting import Reporter
from paft_trainer.stage_store import open_impatient_store, open_stage_store
from paft_trainer.storage import ObjectStore

_SIGNALS_OF_THE_AGENT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_LAST_WAIT_SECONDS = 10
"""For the launchers of other nodes once the ranks here are done; torch's 300 s would outlast most pods' grace."""


class RankFailed(Exception):
    """A rank ended with a failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def launch_arm(run_spec: RunSpec, reporter: Reporter) -> bool:
    """Train the arm, or adopt the adapter that is there already. False where it was stopped. Raises RankFailed,
    and ConfigInvalid for a cache on this node that cannot be written."""
    store = open_stage_store(run_spec, reporter)
    if _adopt(run_spec, store, reporter):
        return True
    require_usable_cache(run_spec)
    rendezvous = rendezvous_of(_world(run_spec), run_id=_run_id(run_spec))
    if rendezvous.node != 0:
        return _train(run_spec, store, reporter, rendezvous)
    # The first node speaks for the attempt: its rank 0 writes everything else.
    keep, end_store = _arm(run_spec).spec.training.keep, partial(open_impatient_store, run_spec)
    with marked_arm_attempt(
        store,
        _stage_folder(run_spec),
        run_spec.identity,
        keep,
        end_store=end_store,
        in_cluster=run_spec.in_cluster,
    ) as attempt:
        stopped = not _train(run_spec, store, reporter, rendezvous)
        attempt.ended = AttemptEnd.STOPPED if stopped else AttemptEnd.SUCCEEDED
    return not stopped


def _train(run_spec: RunSpec, store: ObjectStore, reporter: Reporter, rendezvous: NodeRendezvous) -> bool:
    """False where it was stopped. Raises RankFailed."""
    reporter.update(activity=Activity.LOADING)
    base_folder = prepare_base(run_spec, store)
    counter = OutOfMemoryCounter.of_this_container()
    scratch, here = Path(run_spec.scratch_directory), _world(run_spec).processes_per_node
    ranks = range(rendezvous.node * here, (rendezvous.node + 1) * here)
    try:
        _run_ranks(run_spec, base_folder, rendezvous)
    except ChildFailedError as error:
        raise RankFailed(first_failure(scratch, ranks, error, counter)) from error
    except (EOFError, ConnectionError) as error:
        raise RankFailed(_no_forkserver(counter)) from error
    except SignalException:
        failure = own_failure(scratch)
        if failure is not None:
            raise RankFailed(failure) from None
        return _last_report(run_spec).state is ReportState.SUCCEEDED
    finally:
        # From here on this process reports; what rank 0 knew last must not be lost by that.
        reporter.take_over(_last_report(run_spec))
    return _last_report(run_spec).state is not ReportState.STOPPED


def _adopt(run_spec: RunSpec, store: ObjectStore, reporter: Reporter) -> bool:
    published = find_published_adapter(store, _stage_folder(run_spec))
    if published is not None:
        reporter.succeeded(published)
        # The one that published it may have been killed before it wrote its end.
        clean_up = partial(clean_up_before, store, _stage_folder(run_spec), run_spec.identity)
        best_effort("what earlier attempts left", clean_up)
    return published is not None


def prepare_base(run_spec: RunSpec, store: ObjectStore) -> Path:
    """What ranks need of the base besides its weights, in a folder of this attempt. Raises ArtifactMismatch."""
    index = index_base(
        store, run_spec.base.uri, run_spec.storage.artifacts_uri, on_size=partial(_tell_reading, run_spec.base.uri)
    )
    if index.digest != run_spec.base_digest:
        raise ArtifactMismatch(
            f"{run_spec.base.uri} has changed: its digest is {index.digest}, but this run was prepared for "
            f"{run_spec.base_digest}",
            remedy="Start the job again, so that it is prepared for the base as it is now.",
        )
    return write_local_base(store, run_spec, index, Path(run_spec.scratch_directory) / "base")


def _tell_reading(base_uri: str, size: int) -> None:
    print(
        f"{base_uri}: the index that prepare made of it is gone from storage.artifactsUri; "
        f"{size / 1e9:.1f} GB are read to make it again, before any are loaded",
        flush=True,
    )


def _run_ranks(run_spec: RunSpec, base_folder: Path, rendezvous: NodeRendezvous) -> None:
    world = _world(run_spec)
    use_finished_event()
    workers = WorkerSpec(
        role=run_spec.identity.stage,
        local_world_size=world.processes_per_node,
        entrypoint=_rank,
        args=(run_spec.to_json(), str(base_folder)),
        rdzv_handler=rendezvous,
        max_restarts=0,
        monitor_interval=0.2,
    )
    agent = LocalElasticAgent(
        workers,
        DefaultLogsSpecs(),
        start_method="forkserver",
        exit_barrier_timeout=_LAST_WAIT_SECONDS,
        shutdown_timeout=run_spec.stop_grace_seconds,
    )
    watch = HangWatch(Path(run_spec.scratch_directory), hang_timeout=_arm(run_spec).spec.training.hang_timeout)
    peers = PeerWatch(rendezvous, Path(run_spec.scratch_directory), partial(_processes_of_ranks, agent))
    with _handlers_kept(), watch, peers:
        result = agent.run()
    if result.is_failed():
        raise ChildFailedError(_rank.__name__, result.failures)


def _processes_of_ranks(agent: LocalElasticAgent) -> dict[int, int]:
    """Process ids of those that have been started, by rank."""
    workers = agent.get_worker_group().workers
    return {worker.global_rank: worker.id for worker in workers if isinstance(worker.id, int)}


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """The elastic agent takes signals over and never gives them back."""
    handlers = {number: signal.getsignal(number) for number in _SIGNALS_OF_THE_AGENT}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _rank(run_spec_json: str, base_folder: str) -> None:
    from paft_trainer.training.rank import run_rank

    die_with_parent()
    run_rank(run_spec_json, base_folder)


def _run_id(run_spec: RunSpec) -> str:
    identity = run_spec.identity
    return f"{identity.job_uid}-{identity.stage}-{identity.attempt}"


def _stage_folder(run_spec: RunSpec) -> str:
    assert run_spec.stage_digest is not None
    return stage_folder(run_spec.storage.artifacts_uri, run_spec.identity.stage, run_spec.stage_digest)


def _arm(run_spec: RunSpec) -> SftRun | PreferenceRun:
    run = run_spec.sft if run_spec.sft is not None else run_spec.preference
    assert run is not None
    return run


def _world(run_spec: RunSpec) -> World:
    return _arm(run_spec).world


def _no_forkserver(counter: OutOfMemoryCounter) -> Failure:
    """The process that starts the ranks ended before it could: it imports all that they need, which takes memory."""
    cause, why = Cause.UNKNOWN, "it was probably killed"
    if counter.has_risen():
        cause, why = Cause.HOST_OOM, "it was killed because the container ran out of memory"
    message = f"the process that starts the ranks ended while it was loading libraries; {why}"
    return Failure(cause=cause, message=message, remedy=CAUSE_FACTS[cause].remedy)


def _last_report(run_spec: RunSpec) -> StageReport:
    return StageReport.model_validate_json(Path(run_spec.report_path).read_text(encoding="utf-8"))
