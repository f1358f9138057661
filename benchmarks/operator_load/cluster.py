"""The cluster in which is measured: a real API server and etcd, the CRD, and PaftJobs in phase Training."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from benchmarks.operator_load.measured_process import cpu_seconds
from benchmarks.operator_load.populating import populate
from benchmarks.operator_load.request_counts import RequestLog
from hack import control_plane as control_planes
from hack.control_plane import ControlPlane, Settings
from hack.control_plane.client import CUSTOM_RESOURCE_DEFINITION, KubernetesClient
from hack.control_plane.control_plane import ADMINISTRATORS

ROOT = Path(__file__).parents[2]
MOST_MEMORY = 8 * 1024**3
"""Bytes that API server and etcd may each take before they collect garbage; at most half of the machine's."""
NAMESPACE = "default"
DRIVER = "benchmark-driver"


class Cluster:
    """`folder`: for logs. `jobs`: how many PaftJobs there are."""

    def __init__(self, control_plane: ControlPlane, folder: Path, *, jobs: int) -> None:
        self._control_plane = control_plane
        self.folder = folder
        self.jobs = jobs

    @property
    def cpu_seconds(self) -> float:
        """Of API server and etcd, so far."""
        return sum(cpu_seconds(process.pid) for process in self._control_plane.processes.values() if process.is_running)

    def kubeconfig(self, user: str) -> Path:
        """One with which one is this user and may do everything."""
        return self._control_plane.user_kubeconfig(user, groups=(ADMINISTRATORS,))

    @contextmanager
    def requests_of(self, user: str) -> Iterator[RequestLog]:
        """What a user asks for from now on."""
        log = RequestLog(self._control_plane.audit_log, user)
        log.new()
        try:
            yield log
        finally:
            log.close()


@contextmanager
def populated_cluster(folder: Path, *, jobs: int) -> Iterator[Cluster]:
    """A cluster for the length of a `with` block.

    Neither the Job controller nor the garbage collector runs: on two cores they would be measured, too. Nor do API
    server and etcd collect Go's garbage as long as there is memory: for a second at a time they would answer nobody.
    """
    os.environ.setdefault("GOGC", "off")
    os.environ.setdefault("GOMEMLIMIT", str(min(MOST_MEMORY, _machine_bytes() // 2)))
    with control_planes.running(Settings(directory=folder / "control-plane", audit=True)) as control_plane:
        control_plane.processes["kube-controller-manager"].stop(grace_seconds=0)
        cluster = Cluster(control_plane, folder, jobs=jobs)
        _install_definition(control_plane.kubeconfig)
        # The benchmark's own client reads it, as the operator's does.
        os.environ["KUBECONFIG"] = str(cluster.kubeconfig(DRIVER))
        began = time.perf_counter()
        asyncio.run(populate(NAMESPACE, jobs))
        print(f"{jobs} PaftJobs made in {time.perf_counter() - began:.0f} s", flush=True)
        yield cluster


def _machine_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _install_definition(kubeconfig: Path) -> None:
    manifest = yaml.safe_load((ROOT / "crds" / "paftjobs.paft.dev.yaml").read_text(encoding="utf-8"))
    with KubernetesClient(kubeconfig) as client:
        client.apply(manifest)
        client.wait_for(
            CUSTOM_RESOURCE_DEFINITION,
            manifest["metadata"]["name"],
            None,
            lambda found: any(
                one["type"] == "Established" and one["status"] == "True"
                for one in found.get("status", {}).get("conditions") or ()
            ),
        )
