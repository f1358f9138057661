"""What a user names: a path is a job on this machine, a name a PaftJob in the current context's cluster."""

import re
from dataclasses import dataclass
from pathlib import Path

from paft_cli.errors import CommandError

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterOptions:
    """`-n` and `--context`; None where the kubeconfig decides."""

    namespace: str | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """A job file; None for the only job that was ever run here."""

    file: Path | None


@dataclass(frozen=True, slots=True)
class ClusterTarget:
    """A PaftJob in a cluster."""

    name: str
    options: ClusterOptions


Target = LocalTarget | ClusterTarget


def target_of(job: str | None, options: ClusterOptions) -> Target:
    """Whatever could be the name of a PaftJob is one. Raises CommandError for a path in a namespace."""
    if job is not None and _NAME.fullmatch(job):
        return ClusterTarget(job, options)
    if options != ClusterOptions():
        what = f"{job} is a path" if job is not None else "no job is named"
        raise CommandError(
            f"--namespace and --context are for PaftJobs in a cluster, but {what}, which means a job on this machine; "
            "give the PaftJob's name"
        )
    return LocalTarget(Path(job) if job is not None else None)


def require_cluster_target(job: str, options: ClusterOptions, *, instead: str) -> ClusterTarget:
    """For what exists in clusters only. `instead`: what to do on this machine, with `{file}` for the path."""
    target = target_of(job, options)
    if isinstance(target, LocalTarget):
        raise CommandError(f"{job} is a path, which means a job on this machine: {instead.format(file=job)}")
    return target
