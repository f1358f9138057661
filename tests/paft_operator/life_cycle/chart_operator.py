"""The operator with the rights that the chart gives it, for all namespaces."""

from pathlib import Path

from hack.control_plane import ControlPlane
from tests.helm.helm_program import NAMESPACE, RELEASE
from tests.paft_operator.operator_processes import OperatorProcess


def chart_operator(control_plane: ControlPlane, log_file: Path, **settings: object) -> OperatorProcess:
    """One that holds the Lease while it works. The chart's ServiceAccount has to be installed."""
    return OperatorProcess(
        control_plane.service_account_kubeconfig(NAMESPACE, RELEASE),
        namespaces=[""],
        log_file=log_file,
        election=True,
        lease_namespace=NAMESPACE,
        # From the end of the pod on: long enough that the state of waiting can be seen on a busy machine.
        first_retry_interval=6,
        **settings,
    )
