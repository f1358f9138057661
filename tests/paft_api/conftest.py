"""A real API server that knows PaftJobs."""

from pathlib import Path

import pytest
import yaml
from hack.control_plane.client import CUSTOM_RESOURCE_DEFINITION, KubernetesClient, Object
from tests.paft_api.admission import Admission

CRD = Path(__file__).parents[2] / "crds" / "paftjobs.paft.dev.yaml"


@pytest.fixture(scope="session")
def admission(kubernetes: KubernetesClient) -> Admission:
    """What the API server says of PaftJobs, with the CRD of this repository."""
    manifest = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    kubernetes.apply(manifest)
    kubernetes.wait_for(CUSTOM_RESOURCE_DEFINITION, manifest["metadata"]["name"], None, _is_established)
    return Admission(kubernetes)


def _is_established(definition: Object) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
