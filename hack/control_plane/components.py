"""How the programs are called: command lines, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
SERVICE_ADDRESSES = "10.96.0.0/16"
ISSUER = "https://kubernetes.default.svc"
LEFT_OUT_CONTROLLERS = ("node-lifecycle-controller", "taint-eviction-controller")
"""Without kubelets that renew their Leases, these would take every Node for lost and evict its pods."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Files, addresses and ports of one control plane.

    `programs`: paths by name. `address`: of the API server. `audit`: whether requests are logged.
    """

    directory: Path
    programs: Mapping[str, Path]
    etcd_port: int
    address: str
    api_port: int
    audit: bool

    @property
    def has_nodes(self) -> bool:
        """Whether nodes can join: kubelets and pods have to reach the API server."""
        return self.address != LOOPBACK

    @property
    def certificates(self) -> Path:
        """Folder of certificates and keys."""
        return self.directory / "certificates"

    @property
    def logs(self) -> Path:
        """Folder of logs, one per program."""
        return self.directory / "logs"

    @property
    def etcd_data(self) -> Path:
        """Folder of etcd's data."""
        return self.directory / "etcd"

    @property
    def audit_policy(self) -> Path:
        """The audit policy."""
        return self.directory / "audit-policy.yaml"

    @property
    def audit_log(self) -> Path:
        """The audit log."""
        return self.logs / "audit.jsonl"

    @property
    def etcd_url(self) -> str:
        """Where etcd answers."""
        return f"http://{LOOPBACK}:{self.etcd_port}"

    @property
    def server(self) -> str:
        """Where the API server answers."""
        return f"https://{self.address}:{self.api_port}"

    def kubeconfig(self, user: str) -> Path:
        """A user's kubeconfig."""
        return self.directory / "kubeconfigs" / f"{user.replace(':', '-')}.yaml"


def etcd(layout: Layout) -> list[str]:
    """etcd, which need not survive a power failure here."""
    return [
        str(layout.programs["etcd"]),
        f"--data-dir={layout.etcd_data}",
        f"--listen-client-urls={layout.etcd_url}",
        f"--advertise-client-urls={layout.etcd_url}",
        f"--listen-peer-urls=http://{LOOPBACK}:0",
        "--socket-reuse-port=true",
        "--unsafe-no-fsync=true",
        "--log-level=warn",
    ]


def kube_apiserver(layout: Layout) -> list[str]:
    """The API server, with RBAC."""
    certificates = layout.certificates
    command = [
        str(layout.programs["kube-apiserver"]),
        f"--etcd-servers={layout.etcd_url}",
        f"--bind-address={layout.address}",
        f"--secure-port={layout.api_port}",
        "--permit-port-sharing=true",
        f"--tls-cert-file={certificates / 'server.crt'}",
        f"--tls-private-key-file={certificates / 'server.key'}",
        f"--client-ca-file={certificates / 'ca.crt'}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={certificates / 'service-accounts.key'}",
        f"--service-account-signing-key-file={certificates / 'service-accounts.key'}",
        f"--service-cluster-ip-range={SERVICE_ADDRESSES}",
        "--allow-privileged=true",
        "--profiling=false",
        *(_with_nodes(layout) if layout.has_nodes else _without_nodes()),
    ]
    if layout.audit:
        command += [
            f"--audit-policy-file={layout.audit_policy}",
            f"--audit-log-path={layout.audit_log}",
            # In megabytes; beyond it the log would be continued in another file.
            "--audit-log-maxsize=10000",
        ]
    return command


def _with_nodes(layout: Layout) -> list[str]:
    return [
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--advertise-address={layout.address}",
        "--endpoint-reconciler-type=lease",
        # Logs and exec: the API server asks the kubelet.
        f"--kubelet-client-certificate={layout.certificates / 'admin.crt'}",
        f"--kubelet-client-key={layout.certificates / 'admin.key'}",
        f"--kubelet-certificate-authority={layout.certificates / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def _without_nodes() -> list[str]:
    # The Service `kubernetes` may not lead to loopback, and nobody in here uses it.
    return ["--authorization-mode=RBAC", "--endpoint-reconciler-type=none"]


def kube_controller_manager(layout: Layout) -> list[str]:
    """The controllers, at a rate that a thousand Jobs do not have to wait for."""
    controllers = ["*", *(f"-{name}" for name in LEFT_OUT_CONTROLLERS if not layout.has_nodes)]
    return [
        str(layout.programs["kube-controller-manager"]),
        f"--kubeconfig={layout.kubeconfig('system:kube-controller-manager')}",
        f"--root-ca-file={layout.certificates / 'ca.crt'}",
        f"--controllers={','.join(controllers)}",
        "--leader-elect=false",
        # 0: it serves nothing, so it needs no port.
        "--secure-port=0",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--concurrent-job-syncs=20",
        "--profiling=false",
    ]


def kube_scheduler(layout: Layout) -> list[str]:
    """The scheduler."""
    return [
        str(layout.programs["kube-scheduler"]),
        f"--kubeconfig={layout.kubeconfig('system:kube-scheduler')}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    ]
