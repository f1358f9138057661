"""The right to write one report, and nothing else."""

from paft_api.spec import PaftJob
from paft_operator.manifests.metadata import attempt_metadata
from paft_operator.manifests.names import attempt_name, report_name
from paft_operator.manifests.settings import Manifest
from paft_operator.planner.actions import StartAttempt


def service_account(job: PaftJob, action: StartAttempt) -> Manifest:
    """The attempt's own account. Its token reaches a pod only where the pod template asks for it."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(job, action),
        "automountServiceAccountToken": False,
    }


def report_role(job: PaftJob, action: StartAttempt) -> Manifest:
    """Read and write this attempt's report."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": _metadata(job, action),
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["configmaps"],
                "resourceNames": [report_name(job.metadata.name, action.stage, action.attempt)],
                "verbs": ["get", "patch"],
            }
        ],
    }


def report_role_binding(job: PaftJob, action: StartAttempt) -> Manifest:
    """Gives it to the account of the pods, be it the attempt's own or the user's."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(job, action),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": attempt_name(job.metadata.name, action.stage, action.attempt),
        },
        "subjects": [
            {
                "kind": "ServiceAccount",
                "name": service_account_name(job, action),
                "namespace": job.metadata.namespace,
            }
        ],
    }


def service_account_name(job: PaftJob, action: StartAttempt) -> str:
    """The account the pods run as."""
    own = attempt_name(job.metadata.name, action.stage, action.attempt)
    return job.spec.trainer.service_account_name or own


def _metadata(job: PaftJob, action: StartAttempt) -> Manifest:
    return attempt_metadata(
        job, action.stage, action.attempt, attempt_name(job.metadata.name, action.stage, action.attempt)
    )
