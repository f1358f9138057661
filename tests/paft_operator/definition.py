"""The CRD at a real API server."""

from pathlib import Path

import yaml
from hack.control_plane.client import CUSTOM_RESOURCE_DEFINITION, KubernetesClient, Object

CRD = Path(__file__).parents[2] / "crds" / "paftjobs.paft.dev.yaml"


def install_definition(kubernetes: KubernetesClient) -> Object:
    """Install it, and wait until it is served."""
    manifest = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    kubernetes.apply(manifest)
    return kubernetes.wait_for(CUSTOM_RESOURCE_DEFINITION, manifest["metadata"]["name"], None, _is_established)


def _is_established(definition: Object) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
