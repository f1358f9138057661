"""A real Kubernetes control plane on loopback, for tests and for people; see CONTRIBUTING.md.

with running(Settings(directory=directory)) as control_plane:
    subprocess.run(["kubectl", "--kubeconfig", control_plane.kubeconfig, "get", "namespaces"])
"""

from hack.control_plane.audit import AuditRecord, read_audit_log
from hack.control_plane.control_plane import ControlPlane, Settings, running
from hack.control_plane.errors import BuildFailed, ControlPlaneError, ProcessFailed, ProgramsMissing

__all__ = [
    "AuditRecord",
    "BuildFailed",
    "ControlPlane",
    "ControlPlaneError",
    "ProcessFailed",
    "ProgramsMissing",
    "Settings",
    "read_audit_log",
    "running",
]
