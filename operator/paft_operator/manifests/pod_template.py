"""The pod of a stage: restricted Pod Security, one container, the user's settings merged in."""

from paft_api.labels import JOB_UID, attempt_labels
from paft_api.spec import PaftJob
from paft_api.spec.trainer import TrainerSpec
from paft_api.stage_pods import CONTAINER, RUN_SPEC_DIRECTORY, RUN_SPEC_FILE, TERMINATION_LOG
from paft_api.stages import ARMS
from paft_operator.manifests.environment import environment
from paft_operator.manifests.names import attempt_name, service_name
from paft_operator.manifests.report_access import service_account_name
from paft_operator.manifests.settings import Manifest, ManifestSettings
from paft_operator.manifests.stage_resources import container_resources, stage_resources
from paft_operator.manifests.strategic_merge import merged
from paft_operator.manifests.volumes import volume_mounts, volumes
from paft_operator.planner.actions import StartAttempt


def pod_template(
    job: PaftJob, action: StartAttempt, settings: ManifestSettings, *, set_name: str | None = None
) -> Manifest:
    """Of the pods of one attempt. `trainer.podTemplate` comes last; it can change nothing that a stage relies on.

    `set_name`: of the JobSet that they are a part of, which gives them their names.
    """
    trainer = job.spec.trainer
    own = {
        "metadata": {
            "labels": {**trainer.pod_labels, **_labels(job, action)},
            "annotations": {**trainer.pod_annotations, "kubectl.kubernetes.io/default-container": CONTAINER},
        },
        "spec": _placement(job) | _pod_spec(job, action, settings, set_name),
    }
    return merged(own, trainer.pod_template)


def _labels(job: PaftJob, action: StartAttempt) -> dict[str, str]:
    assert job.metadata.uid is not None
    return attempt_labels(job.metadata.name, action.stage, action.attempt) | {JOB_UID: job.metadata.uid}


def _pod_spec(job: PaftJob, action: StartAttempt, settings: ManifestSettings, set_name: str | None) -> Manifest:
    trainer = job.spec.trainer
    has_own_service = action.stage in ARMS and set_name is None
    run_spec_name = attempt_name(job.metadata.name, action.stage, action.attempt)
    return {
        "restartPolicy": "Never",
        "serviceAccountName": service_account_name(job, action),
        # The report's token has a volume of its own; nothing else in the pod talks to the API server.
        "automountServiceAccountToken": False,
        # One variable per Service of the namespace would be in every environment otherwise.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": trainer.termination_grace_period_seconds,
        **({"subdomain": service_name(job.metadata.name, action.stage)} if has_own_service else {}),
        # No user and no group id: the image has one, and OpenShift gives each namespace its own.
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(job, action, settings, set_name)],
        "volumes": volumes(job, action, run_spec_name=run_spec_name),
    }


def _placement(job: PaftJob) -> Manifest:
    """Where pods may run and how they get there; what is not asked for is left to the cluster."""
    trainer = job.spec.trainer
    wanted: Manifest = {
        "imagePullSecrets": [secret.to_document() for secret in trainer.image_pull_secrets],
        "nodeSelector": trainer.node_selector,
        "tolerations": [toleration.to_document() for toleration in trainer.tolerations],
        "affinity": trainer.affinity,
        "runtimeClassName": trainer.runtime_class_name,
        "priorityClassName": job.spec.scheduling.priority_class_name,
    }
    return {field: value for field, value in wanted.items() if value}


def _container(job: PaftJob, action: StartAttempt, settings: ManifestSettings, set_name: str | None) -> Manifest:
    trainer = job.spec.trainer
    resources = stage_resources(job, action.stage)
    return {
        "name": CONTAINER,
        "image": trainer.image or settings.trainer_image,
        "imagePullPolicy": trainer.image_pull_policy,
        "command": ["python", "-m", "paft_trainer"],
        "args": [str(action.stage), "--run-spec", f"{RUN_SPEC_DIRECTORY}/{RUN_SPEC_FILE}"],
        "env": environment(job, action, set_name=set_name),
        "resources": container_resources(resources),
        "securityContext": _container_security(trainer, is_arm=action.stage in ARMS),
        "terminationMessagePath": TERMINATION_LOG,
        # A launcher that was killed leaves no message; then its last lines are all there is.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": volume_mounts(job, action),
    }


def _container_security(trainer: TrainerSpec, *, is_arm: bool) -> Manifest:
    added = {"add": ["IPC_LOCK"]} if trainer.ipc_lock and is_arm else {}
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], **added},
        "readOnlyRootFilesystem": True,
    }
