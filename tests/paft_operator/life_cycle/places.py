"""Makes places, and what plays pods in all of them."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.control_plane import ControlPlane
from hack.control_plane.client import SERVICE_ACCOUNT, KubernetesClient
from hack.control_plane.control_plane import ADMINISTRATORS
from tests.kubelet_stand_in import KubeletStandIn
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.life_cycle.recorded_jobs import RecordedJobs
from tests.paft_operator.life_cycle.scripts import preparing
from tests.paft_operator.played_stages import stage


class Places:
    """Makes them."""

    def __init__(
        self, kubeconfig: Path, client: KubernetesClient, kubelet: KubeletStandIn, recorded: RecordedJobs
    ) -> None:
        self._kubeconfig = kubeconfig
        self._client = client
        self._kubelet = kubelet
        self._recorded = recorded

    def make(self, title: str, **fields: float) -> Place:
        """A new one; parts of `title` are in its names."""
        words = re.sub(r"[^a-z0-9]+", "-", title.removeprefix("test_").lower()).strip("-")
        name = f"{words[:24].strip('-')}-{uuid.uuid4().hex[:4]}"
        namespace = f"test-{name}"
        self._client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        # Before this ServiceAccount is there, every Pod is refused.
        self._client.wait_for(SERVICE_ACCOUNT, "default", namespace, bool)
        return Place(
            kubeconfig=self._kubeconfig,
            kubernetes=self._client,
            kubelet=self._kubelet,
            recorded=self._recorded,
            namespace=namespace,
            name=name if name[0].isalpha() else f"j{name}",
            **fields,
        )


@contextmanager
def open_places(control_plane: ControlPlane, *, threads: int) -> Iterator[Places]:
    """For that many situations at once. Pods that no situation has a script for do what their stage does."""
    kubeconfig = control_plane.user_kubeconfig("life-cycle", groups=(ADMINISTRATORS,))
    selector = "app.kubernetes.io/managed-by=paft-operator"
    with (
        KubernetesClient(kubeconfig, connections=threads + 16) as client,
        KubeletStandIn(client, labels=selector, workers=4) as kubelet,
        RecordedJobs(client) as recorded,
    ):
        kubelet.play(preparing(client), {"paft.dev/stage": "prepare"})
        kubelet.play(stage())
        yield Places(kubeconfig, client, kubelet, recorded)
