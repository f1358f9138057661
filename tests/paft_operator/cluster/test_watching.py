"""The thread of the watches: where it works, and how it ends."""

import asyncio
import gc
import getpass
from collections.abc import Callable
from pathlib import Path

import pytest
from hack.control_plane import ControlPlane
from hack.control_plane.client import KubernetesClient
from tests.paft_operator.cluster_jobs import ClusterJobs, minimal_job, wait_until
from tests.paft_operator.definition import install_definition

from paft_operator.cluster import watching
from paft_operator.cluster.connection import Connection
from paft_operator.cluster.index import Index
from paft_operator.cluster.watching import Change, Watches, watched
from paft_operator.observing.records import JobKey, Record

KOPF_LEAVES_CONNECTIONS = pytest.mark.filterwarnings("ignore:unclosed (transport|<socket):ResourceWarning")


class _NotingIndex(Index):
    """`asked`: names of objects that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def is_news(self, record: Record, *, deleted: bool = False) -> bool:
        self.asked.append(record.name)
        return super().is_news(record, deleted=deleted)


def _watches(
    namespace: str, on_change: Callable[[Change], None], failures: list[str], index: Index | None = None
) -> Watches:
    return Watches(
        Connection(),
        index or Index(),
        resources=watched(has_job_sets=False),
        namespaces=[namespace],
        on_change=on_change,
        on_failure=lambda: failures.append("failed"),
    )


def _end(watches: Watches) -> None:
    """Stop, and collect the connections that kopf leaves open: another test would be blamed for them."""
    watches.stop()
    wait_until(lambda: not watches.is_alive)
    gc.collect()


@pytest.mark.slow
@KOPF_LEAVES_CONNECTIONS
def test_a_user_id_without_a_name_is_enough(
    control_plane: ControlPlane, kubernetes: KubernetesClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in every container that does not run as root."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    install_definition(kubernetes)
    failures: list[str] = []

    async def watch() -> Change:
        changes: asyncio.Queue[Change] = asyncio.Queue()
        watches = _watches(namespace, changes.put_nowait, failures)
        watches.start()
        try:
            ClusterJobs(kubernetes, namespace).create(minimal_job("tiny"))
            return await asyncio.wait_for(changes.get(), 30)
        finally:
            await asyncio.to_thread(_end, watches)

    record, is_deleted = asyncio.run(watch())
    assert (record.key, is_deleted) == (JobKey(namespace, "tiny"), False)
    assert failures == []


@pytest.mark.slow
@KOPF_LEAVES_CONNECTIONS
def test_what_comes_after_the_end_of_the_loop_is_no_error(
    control_plane: ControlPlane,
    kubernetes: KubernetesClient,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The thread may go on for a while when the process ends."""
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    install_definition(kubernetes)
    jobs = ClusterJobs(kubernetes, namespace)
    index = _NotingIndex()

    async def begin() -> Watches:
        changes: asyncio.Queue[Change] = asyncio.Queue()
        watches = _watches(namespace, changes.put_nowait, [], index)
        watches.start()
        jobs.create(minimal_job("first"))
        await asyncio.wait_for(changes.get(), 30)
        return watches

    watches = asyncio.run(begin())
    jobs.create(minimal_job("second"))
    wait_until(lambda: "second" in index.asked)
    _end(watches)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_watches_that_fail_at_once_again_and_again_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process then ends too, so that its pod shows it."""
    monkeypatch.setattr(watching, "RESTART_SECONDS", 0.01)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], "
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}], users: [{name: u, user: {token: t}}]}"
    )
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    failures: list[str] = []

    async def watch() -> None:
        watches = _watches("team-a", lambda change: None, failures)

        async def fail() -> None:
            raise RuntimeError("no watches today")

        monkeypatch.setattr(watches, "_run_kopf", fail)
        watches.start()
        await asyncio.to_thread(wait_until, lambda: not watches.is_alive)

    asyncio.run(watch())
    assert failures == ["failed"] * watching.MOST_FAILURES
