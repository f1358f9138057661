"""Where the API server is and who we are: a pod's ServiceAccount, else the current context of the kubeconfig."""

import time

import kopf

TOKEN_SECONDS = 60.0
"""A pod's token changes about every hour: the file is read anew at least this often."""


class ConnectionMissing(Exception):
    """There are no credentials. `str()` is what a person should read."""


class Connection:
    """Credentials, read anew from time to time."""

    def __init__(self) -> None:
        self._info = _login()
        self._read_at = time.monotonic()

    @property
    def info(self) -> kopf.ConnectionInfo:
        """Server, certificates and token."""
        return self._info

    @property
    def namespace(self) -> str:
        """The credentials' own namespace."""
        return self._info.default_namespace or "default"

    def headers(self) -> dict[str, str]:
        """Headers that authenticate a request."""
        if time.monotonic() - self._read_at > TOKEN_SECONDS:
            self.read_again()
        return self._info.as_http_headers()

    def read_again(self) -> None:
        """Read the credentials anew, as after an answer 401."""
        self._info = _login()
        self._read_at = time.monotonic()


def _login() -> kopf.ConnectionInfo:
    settings = kopf.OperatorSettings()
    info = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)
    if info is None:
        raise ConnectionMissing("no credentials: neither a pod's ServiceAccount nor a kubeconfig (set KUBECONFIG)")
    return info
