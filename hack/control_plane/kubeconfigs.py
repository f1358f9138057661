"""kubeconfig files with everything inside, so that they can be copied."""

import base64
from pathlib import Path

import yaml
from hack.control_plane.certificates import KeyPair, write_private


def write_kubeconfig(path: Path, *, server: str, authority: bytes, user: dict[str, str], namespace: str = "") -> None:
    """Write a kubeconfig with one context. `namespace`: what is used where a command names none."""
    context = {"cluster": "paft", "user": "paft"} | ({"namespace": namespace} if namespace else {})
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "paft", "cluster": {"server": server, "certificate-authority-data": _encoded(authority)}}
        ],
        "users": [{"name": "paft", "user": user}],
        "contexts": [{"name": "paft", "context": context}],
        "current-context": "paft",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, yaml.safe_dump(document, sort_keys=False).encode())


def certificate_user(pair: KeyPair) -> dict[str, str]:
    """A user who shows a certificate."""
    return {"client-certificate-data": _encoded(pair.certificate), "client-key-data": _encoded(pair.key)}


def token_user(token: str) -> dict[str, str]:
    """A user who shows a token."""
    return {"token": token}


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
