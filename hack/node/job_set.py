"""JobSet as its project publishes it, with the controller's image that was built here."""

import subprocess
from typing import Any

import yaml
from hack.control_plane.programs import find_or_build, module_of
from hack.node.images import JOBSET

NAMESPACE = "jobset-system"
DEPLOYMENT = "jobset-controller-manager"


def job_set_manifests() -> list[dict[str, Any]]:
    """What `kubectl apply --kustomize config/default` would apply, in an order in which it can be created."""
    kubectl = find_or_build(["kubectl"])["kubectl"]
    folder = module_of("jobset-controller").source() / "config" / "default"
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=True)
    manifests = [one for one in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if one is not None]
    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            (container,) = manifest["spec"]["template"]["spec"]["containers"]
            container |= {"image": JOBSET.name, "imagePullPolicy": "Never"}
    first = ("Namespace", "CustomResourceDefinition", "ServiceAccount")
    return sorted(manifests, key=lambda one: first.index(one["kind"]) if one["kind"] in first else len(first))
