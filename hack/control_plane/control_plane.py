"""A real Kubernetes control plane on loopback: etcd, API server and controllers, without any node."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.control_plane import components, programs
from hack.control_plane.administrator import Administrator
from hack.control_plane.audit import POLICY
from hack.control_plane.certificates import (
    SERVER_ADDRESSES,
    SERVER_NAMES,
    CertificateAuthority,
    new_key,
    private_pem,
    write_private,
)
from hack.control_plane.components import LOOPBACK, Layout
from hack.control_plane.kubeconfigs import certificate_user, token_user, write_kubeconfig
from hack.control_plane.ports import ReservedPort
from hack.control_plane.processes import Process

READY_SECONDS = 120.0
"""Time that a program has to get ready; seconds are usual, but a busy machine is slow."""
TOKEN_SECONDS = 24 * 3600
"""Validity of a ServiceAccount's token."""
ADMINISTRATOR = "admin"
ADMINISTRATORS = "system:masters"
"""The group that may do everything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What to start.

    `directory`: for its data, certificates and logs; what an earlier control plane left there is removed.
    `address`: of the API server; nodes can join where it is not loopback.
    `scheduler`: whether Pods are put on Nodes, of which there are none at first. `audit`: whether every request is
    logged, see `ControlPlane.audit_log`.
    """

    directory: Path
    address: str = LOOPBACK
    scheduler: bool = False
    audit: bool = False


class ControlPlane:
    """A running control plane. The API server asks for authentication and applies RBAC, as in any cluster."""

    def __init__(self, layout: Layout, authority: CertificateAuthority, processes: Mapping[str, Process]) -> None:
        self._layout = layout
        self._authority = authority
        self.processes = processes
        """By program name; a test may stop one and start it again."""
        self.server = layout.server
        """The API server's URL."""
        self.kubeconfig = self.user_kubeconfig(ADMINISTRATOR, groups=(ADMINISTRATORS,))
        """The administrator's kubeconfig."""
        certificate, key = authority.client(ADMINISTRATOR, (ADMINISTRATORS,)).write(layout.certificates, ADMINISTRATOR)
        self._administrator = Administrator(
            layout.server, authority=layout.certificates / "ca.crt", certificate=certificate, key=key
        )

    @property
    def audit_log(self) -> Path:
        """The audit log, for `audit.read_audit_log`; needs `Settings.audit`."""
        assert self._layout.audit
        return self._layout.audit_log

    @property
    def logs(self) -> Path:
        """Folder of the programs' logs."""
        return self._layout.logs

    @property
    def authority(self) -> Path:
        """Certificate of its authority."""
        return self._layout.certificates / "ca.crt"

    def server_certificate(self, name: str, address: str) -> tuple[Path, Path]:
        """Certificate and key for a server that is called by this name and address."""
        return self._authority.server(name, names=(name,), addresses=(address,)).write(self._layout.certificates, name)

    def user_kubeconfig(self, user: str, *, groups: tuple[str, ...] = ()) -> Path:
        """A kubeconfig with which one is this user; RBAC says what that user may do."""
        path = self._layout.kubeconfig(user)
        self._write(path, certificate_user(self._authority.client(user, groups)))
        return path

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig with a fresh token of a ServiceAccount, which has to exist."""
        answer = self._administrator.post(
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            {"spec": {"expirationSeconds": TOKEN_SECONDS}},
        )
        path = self._layout.kubeconfig(f"system:serviceaccount:{namespace}:{name}")
        self._write(path, token_user(answer["status"]["token"]), namespace=namespace)
        return path

    def wait_for_api_server(self) -> None:
        """Wait until the API server is ready."""
        self.processes["kube-apiserver"].wait_until(lambda: self._administrator.finds("/readyz"), seconds=READY_SECONDS)

    def wait_for_controllers(self) -> None:
        """Wait for controllers that have set up the namespace `default`."""
        namespace = "/api/v1/namespaces/default"
        wanted = (f"{namespace}/serviceaccounts/default", f"{namespace}/configmaps/kube-root-ca.crt")
        self.processes["kube-controller-manager"].wait_until(
            lambda: all(self._administrator.finds(path) for path in wanted), seconds=READY_SECONDS
        )

    def _write(self, path: Path, user: dict[str, str], *, namespace: str = "") -> None:
        write_kubeconfig(
            path, server=self.server, authority=self._authority.certificate, user=user, namespace=namespace
        )


@contextmanager
def running(settings: Settings) -> Iterator[ControlPlane]:
    """A control plane for the length of a `with` block, ready when it begins."""
    with ExitStack() as stack:
        etcd_port, api_port = (stack.enter_context(ReservedPort()) for _ in range(2))
        layout = Layout(
            directory=settings.directory.absolute(),
            programs=programs.find_or_build(_program_names(settings)),
            etcd_port=etcd_port.number,
            address=settings.address,
            api_port=api_port.number,
            audit=settings.audit,
        )
        control_plane = ControlPlane(layout, _prepare_files(layout), _processes(layout))
        for process in control_plane.processes.values():
            # A controller that ends without haste would only be waited for.
            stack.callback(process.stop, grace_seconds=0)
        _start(control_plane)
        yield control_plane


def _program_names(settings: Settings) -> list[str]:
    optional = ["kube-scheduler"] if settings.scheduler else []
    return ["etcd", "kube-apiserver", "kube-controller-manager", *optional]


def _prepare_files(layout: Layout) -> CertificateAuthority:
    for folder in (layout.etcd_data, layout.certificates, layout.logs, layout.directory / "kubeconfigs"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
    authority = CertificateAuthority()
    (layout.certificates / "ca.crt").write_bytes(authority.certificate)
    addresses = tuple({*SERVER_ADDRESSES, layout.address})
    authority.server("kube-apiserver", names=SERVER_NAMES, addresses=addresses).write(layout.certificates, "server")
    write_private(layout.certificates / "service-accounts.key", private_pem(new_key()))
    layout.audit_policy.write_text(POLICY, encoding="utf-8")
    return authority


def _processes(layout: Layout) -> dict[str, Process]:
    commands = {
        "etcd": components.etcd,
        "kube-apiserver": components.kube_apiserver,
        "kube-controller-manager": components.kube_controller_manager,
        "kube-scheduler": components.kube_scheduler,
    }
    return {name: Process(name, commands[name](layout), log=layout.logs / f"{name}.log") for name in layout.programs}


def _start(control_plane: ControlPlane) -> None:
    servers = ("etcd", "kube-apiserver")
    controllers = [name for name in control_plane.processes if name not in servers]
    for name in servers:
        control_plane.processes[name].start()
    for name in controllers:
        control_plane.user_kubeconfig(f"system:{name}", groups=(ADMINISTRATORS,))
    # Controllers end where no API server answers them within 10 s.
    control_plane.wait_for_api_server()
    for name in controllers:
        control_plane.processes[name].start()
    control_plane.wait_for_controllers()
