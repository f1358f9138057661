"""A namespace on the node, PaftJobs in it, and what became of them."""

import json
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hack.control_plane.client import CONFIG_MAP, EVENT, JOB, POD, SERVICE_ACCOUNT, Kind, KubernetesClient, Object
from hack.control_plane.programs import find_or_build
from hack.seaweedfs import S3Server, s3_client

SECRET = Kind("v1", "Secret")
NAMESPACE = Kind("v1", "Namespace")
PAFT_JOB = Kind("paft.dev/v1alpha1", "PaftJob")
BUCKET = "paft-node"
BASE = f"s3://{BUCKET}/base/"
"""A tiny base; see conftest."""
DATA = f"s3://{BUCKET}/data/"
SECRET_NAME = "s3"
PATIENCE_SECONDS = 300.0
_POLL_SECONDS = 0.3


@dataclass(kw_only=True)
class NodeNamespace:
    """`name`: its own, with restricted Pod Security and a Secret for storage. `prefix`: its own part of the bucket."""

    kubernetes: KubernetesClient
    s3: S3Server
    name: str = field(default_factory=lambda: f"team-{uuid.uuid4().hex[:8]}")

    @property
    def prefix(self) -> str:
        """Where artifacts and outputs go."""
        return f"s3://{BUCKET}/{self.name}/"

    def artifacts(self, part: str = "") -> str:
        """Where adapters and checkpoints go; in a part of it that one job does not share with others."""
        return f"{self.prefix}artifacts/" + (f"{part}/" if part else "")

    def set_up(self) -> None:
        """Create it."""
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}}
        self.kubernetes.create(manifest)
        self.kubernetes.wait_for(SERVICE_ACCOUNT, "default", self.name, bool)
        self.write_secret(self.s3.environment)

    def write_secret(self, values: dict[str, str], name: str = SECRET_NAME) -> None:
        """Credentials for storage."""
        metadata = {"name": name, "namespace": self.name}
        self.kubernetes.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})

    def create(self, manifest: Object) -> Object:
        """As `kubectl create` does."""
        return self.kubernetes.create({**manifest, "metadata": manifest["metadata"] | {"namespace": self.name}})

    def get(self, name: str) -> Object:
        """A PaftJob as it is now."""
        return self.kubernetes.get(PAFT_JOB, name, self.name)

    def wait(self, name: str, is_met: Callable[[Object], object], *, seconds: float = PATIENCE_SECONDS) -> Object:
        """Until a PaftJob's status says so; the PaftJob."""
        deadline = time.monotonic() + seconds
        while True:
            job = self.get(name)
            if "status" in job and is_met(job["status"]):
                return job
            assert time.monotonic() < deadline, f"not after {seconds:.0f} s: {self.told(name)}"
            time.sleep(_POLL_SECONDS)

    def wait_until(self, is_met: Callable[[], object], otherwise: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for something that no PaftJob's status tells."""
        deadline = time.monotonic() + seconds
        while not is_met():
            assert time.monotonic() < deadline, f"{otherwise} after {seconds:.0f} s"
            time.sleep(_POLL_SECONDS)

    def wait_for_phase(self, name: str, phase: str, *, seconds: float = PATIENCE_SECONDS) -> Object:
        """Until its phase is this; at once an error where it ends otherwise."""

        def is_met(status: Object) -> bool:
            is_over = status["phase"] in ("Succeeded", "Failed")
            assert not is_over or status["phase"] == phase, f"it is {status['phase']}: {self.told(name)}"
            return bool(status["phase"] == phase)

        return self.wait(name, is_met, seconds=seconds)

    def wait_for_step(self, name: str, stage_name: str, step: int, *, attempt: int = 1) -> Object:
        """Until an attempt has told that it is past a step."""

        def is_met(status: Object) -> bool:
            entry = stage(status, stage_name)
            return bool(entry.get("attempt") == attempt and entry.get("step", 0) >= step)

        return self.wait(name, is_met)

    def pods(self, job: str, stage_name: str = "") -> list[Object]:
        """Pods of a PaftJob."""
        labels = f"paft.dev/job-name={job}" + (f",paft.dev/stage={stage_name}" if stage_name else "")
        return self.kubernetes.list(POD, self.name, labels=labels)

    def events(self, job: str) -> list[tuple[str, str]]:
        """Reason and message of the Events about a PaftJob."""
        return [
            (one["reason"], one["message"])
            for one in self.kubernetes.list(EVENT, self.name)
            if one["involvedObject"]["kind"] == "PaftJob" and one["involvedObject"]["name"] == job
        ]

    def told(self, job: str) -> str:
        """What is known of a PaftJob, for messages of failed tests."""
        pods = [(pod["metadata"]["name"], pod.get("status")) for pod in self.pods(job)]
        return json.dumps({"status": self.get(job).get("status"), "events": self.events(job), "pods": pods}, indent=1)

    def kubectl(self, *arguments: str) -> str:
        """Standard output of the real kubectl in this namespace."""
        program = find_or_build(["kubectl"])["kubectl"]
        command = [str(program), "--namespace", self.name, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    @contextmanager
    def watched(self, name: str) -> "Iterator[list[str]]":
        """Lines of `kubectl get paftjobs --watch` for one PaftJob, as they come."""
        program = find_or_build(["kubectl"])["kubectl"]
        command = [str(program), "--namespace", self.name, "get", "paftjobs", name, "--watch"]
        lines: list[str] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            thread = threading.Thread(target=lines.extend, args=(process.stdout,), name="kubectl-watch")
            thread.start()
            try:
                yield lines
            finally:
                process.terminate()
                thread.join()

    def objects(self, prefix: str) -> dict[str, bytes]:
        """What lies in object storage under a URI, by the rest of its name."""
        bucket, _, key = prefix.removeprefix("s3://").partition("/")
        with s3_client(self.s3) as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
            names = [one["Key"] for page in pages for one in page.get("Contents", ())]
            return {name.removeprefix(key): client.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}

    def upload(self, name: str, content: bytes) -> None:
        """Write an object under the namespace's prefix."""
        with s3_client(self.s3) as client:
            client.put_object(Bucket=BUCKET, Key=f"{self.name}/{name}", Body=content)

    def adapters(self, part: str = "") -> dict[str, bytes]:
        """Weights of finished adapters; their folders are named by what they were made from."""
        return {
            name: content
            for name, content in self.objects(self.artifacts(part)).items()
            if "attempts/" not in name and name.endswith("adapter_model.safetensors")
        }

    def children(self, job: str) -> list[str]:
        """Kinds and names of what a PaftJob has left."""
        labels = f"paft.dev/job-name={job}"
        return [
            f"{kind.kind} {one['metadata']['name']}"
            for kind in (JOB, POD, CONFIG_MAP, SERVICE_ACCOUNT)
            for one in self.kubernetes.list(kind, self.name, labels=labels)
        ]


def stage(status: Object, name: str) -> Object:
    """Entry of a stage; empty where there is none."""
    return next((entry for entry in status.get("stages", ()) if entry["name"] == name), {})


def condition(job: Object, type_: str) -> Object:
    """A condition; empty where there is none."""
    return next((one for one in job["status"].get("conditions", ()) if one["type"] == type_), {})


def small_job(
    namespace: NodeNamespace,
    name: str,
    base: str,
    data: str,
    *,
    steps: int = 12,
    nodes: int = 2,
    artifacts: str = "",
    backend: str = "jobs",
) -> Object:
    """A PaftJob for a tiny base: both arms as `nodes` pods of one process each.

    `base`, `data`: prefixes of URIs. `artifacts`: a part of the namespace's that is the job's own; else all share one.
    """
    training = {"maxSteps": steps, "globalBatchSize": 4, "maxLength": 64, "saveSteps": 4, "learningRate": 1.0e-2}
    resources = {
        "nodes": nodes,
        "gpusPerNode": 0,
        "processesPerNode": 1,
        "cpu": "100m",
        "memory": "2Gi",
        "sharedMemory": "256Mi",
    }
    arm: Object = {"training": training, "lora": {"r": 4}, "resources": resources}
    single = {"cpu": "100m", "memory": "2Gi"}
    spec: Object = {
        "base": {"uri": base},
        "storage": {
            "artifactsUri": namespace.artifacts(artifacts),
            "endpoint": namespace.s3.endpoint,
            "secretRef": {"name": SECRET_NAME},
            "retryWindow": 120,
        },
        "sft": arm
        | {
            "data": {"train": [{"uri": f"{data}chats.jsonl", "format": "messages"}]},
            "l1": {"lambda": 2.0e-3},
        },
        "preference": arm | {"data": {"train": [{"uri": f"{data}pairs.jsonl", "format": "preference"}]}},
        "merge": {"output": {"uri": f"{namespace.prefix}{name}/"}, "resources": single},
        "trainer": {"imagePullPolicy": "Never", "prepareResources": single, "terminationGracePeriodSeconds": 60},
        "scheduling": {"backend": backend},
        "runPolicy": {"backoffLimit": 2},
    }
    manifest = {"apiVersion": "paft.dev/v1alpha1", "kind": "PaftJob", "metadata": {"name": name}, "spec": spec}
    copied: Object = json.loads(json.dumps(manifest))
    return copied
