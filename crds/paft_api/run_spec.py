"""What one attempt of one stage is told: a fully resolved JSON file, no more and no less than the stage needs."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from paft_api.model import Digest, DnsLabel, FolderUri, Model
from paft_api.spec.arm import ArmSpec
from paft_api.spec.base import BaseSpec
from paft_api.spec.data import DataSource
from paft_api.spec.merge import MergeSpec
from paft_api.spec.preference import PreferenceSpec
from paft_api.spec.sft import SftSpec
from paft_api.spec.storage import StorageSpec
from paft_api.spec.tracking import TrackingSpec
from paft_api.stages import StageName

LocalPath = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^/")]


class StageIdentity(Model):
    """Which attempt of which job this is."""

    job_name: DnsLabel
    """metadata.name."""
    job_namespace: DnsLabel
    """metadata.namespace."""
    job_uid: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """metadata.uid."""
    generation: Annotated[int, Field(ge=1)]
    """metadata.generation the attempt was made for."""
    stage: StageName
    """Stage."""
    attempt: Annotated[int, Field(ge=1)]
    """Number of the attempt, from 1."""


class World(Model):
    """The processes of an arm, as they are launched; the global batch is the job's whatever they are."""

    nodes: Annotated[int, Field(ge=1)]
    """Pods or machines."""
    processes_per_node: Annotated[int, Field(ge=1)]
    """Processes on each."""
    device: Literal["cuda", "cpu"]
    """What a process computes on."""
    gradient_accumulation_steps: Annotated[int, Field(ge=1)]
    """Forward passes per optimizer step, so that the global batch is kept."""
    threads_per_process: Annotated[int, Field(ge=1)] | None = None
    """Arithmetic threads of each process. Default: torch's choice."""
    visible_devices: Annotated[tuple[int, ...], Field(max_length=64)] | None = None
    """CUDA devices this arm may use. Default: all that the pod has."""

    @property
    def processes(self) -> int:
        """Processes in all."""
        return self.nodes * self.processes_per_node


class PrepareRun(Model):
    """The whole job as prepare checks it."""

    sft: SftSpec
    """The supervised arm."""
    preference: PreferenceSpec
    """The alignment arm."""
    merge: MergeSpec
    """The merge."""

    @property
    def arms(self) -> dict[StageName, ArmSpec]:
        """The arms whose rows it reads."""
        return {StageName.SFT: self.sft, StageName.PREFERENCE: self.preference}


class SftRun(Model):
    """The supervised arm."""

    spec: SftSpec
    """What is asked for."""
    world: World
    """Who does it."""

    @property
    def arms(self) -> dict[StageName, ArmSpec]:
        """The arm whose rows it reads."""
        return {StageName.SFT: self.spec}


class PreferenceRun(Model):
    """The alignment arm."""

    spec: PreferenceSpec
    """What is asked for."""
    world: World
    """Who does it."""

    @property
    def arms(self) -> dict[StageName, ArmSpec]:
        """The arm whose rows it reads."""
        return {StageName.PREFERENCE: self.spec}


class AdapterReference(Model):
    """One adapter that goes into a merge."""

    uri: FolderUri
    """A PEFT adapter folder."""
    digest: Digest | None = None
    """Over its files; checked where given. `paft merge` gives none for adapters without a manifest."""


class MergeRun(Model):
    """The merge."""

    spec: MergeSpec
    """What is asked for."""
    sft: AdapterReference
    """The SFT adapter."""
    preference: AdapterReference
    """The preference adapter."""

    @property
    def arms(self) -> dict[StageName, ArmSpec]:
        """A merge reads no rows."""
        return {}


class ReportConfigMap(Model):
    """Where an attempt's report goes in a cluster, besides its file."""

    name: DnsLabel
    """ConfigMap in the job's namespace."""
    access_directory: LocalPath
    """Folder with `token` and `ca.crt` of an account that may patch it."""


class NodeCache(Model):
    """Where this attempt finds and keeps parts of the base that others on the machine use too."""

    directory: LocalPath
    """Its folder."""
    max_bytes: Annotated[int, Field(ge=1)]
    """Largest size of all files in it."""


class SecretFolder(Model):
    """A mounted Secret: one file for each of its keys, exchanged by the kubelet when the Secret changes."""

    secret_name: DnsLabel
    """Name of the Secret, as the spec names it."""
    directory: LocalPath
    """Folder with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where it is there, AWS_SESSION_TOKEN."""


class RunSpec(Model):
    """One attempt of one stage. Rendezvous comes through the environment, and of credentials only the place is here."""

    identity: StageIdentity
    """Which attempt this is."""
    base: BaseSpec
    """The base checkpoint."""
    storage: StorageSpec
    """Object storage."""
    base_digest: Digest | None = None
    """From prepare; unset for prepare itself and for a merge of foreign adapters."""
    stage_digest: Digest | None = None
    """From prepare; unset for prepare itself."""
    reached_step: Annotated[int, Field(ge=0)] = 0
    """Highest step that an earlier attempt told of: up to it, steps are done again. Default: 0."""
    report_path: LocalPath
    """File that the stage's report is written to."""
    report_config_map: ReportConfigMap | None = None
    """Set in a cluster."""
    termination_path: LocalPath
    """File that the launcher writes the termination message to, in a pod /dev/termination-log."""
    scratch_directory: LocalPath
    """Folder for files of this attempt only."""
    cache_directory: LocalPath
    """Folder for verified copies of bases, shared by stages and attempts on this machine."""
    base_cache: NodeCache | None = None
    """Set where spec.base.cache is, and by `paft run`."""
    tracking: TrackingSpec | None = None
    """Trackers beside event files. Set where spec.tracking names one."""
    tracker_credentials: Annotated[tuple[SecretFolder, ...], Field(max_length=2)] = ()
    """In a cluster, one for each Secret of a tracker. Without one, a tracker's variables of the environment count."""
    credentials: Annotated[tuple[SecretFolder, ...], Field(max_length=256)] = ()
    """In a cluster, one for each Secret that this stage uses. A Secret without one is a profile of that name."""
    stop_grace_seconds: Annotated[int, Field(ge=1, le=86400)] = 300
    """Seconds that ranks have to save after SIGTERM. Default: 300."""
    prepare: PrepareRun | None = None
    """Set for prepare."""
    sft: SftRun | None = None
    """Set for sft."""
    preference: PreferenceRun | None = None
    """Set for preference."""
    merge: MergeRun | None = None
    """Set for merge."""

    @property
    def in_cluster(self) -> bool:
        """Whether a pod runs it."""
        return self.report_config_map is not None

    @property
    def sources(self) -> dict[str, BaseSpec | DataSource]:
        """What this stage reads besides artifacts, and how each is reached, by its place in the job file."""
        (block,) = (run for run in (self.prepare, self.sft, self.preference, self.merge) if run is not None)
        return {"spec.base": self.base} | {
            f"spec.{arm}.data.{rows}[{index}]": source
            for arm, spec in block.arms.items()
            for rows, sources in (("train", spec.data.train), ("eval", spec.data.eval))
            for index, source in enumerate(sources)
        }

    @property
    def secret_names(self) -> tuple[str, ...]:
        """The Secrets that this stage needs, each once."""
        references = (self.storage.secret_ref, *(source.secret_ref for source in self.sources.values()))
        return tuple(dict.fromkeys(reference.name for reference in references if reference is not None))

    @model_validator(mode="after")
    def _exactly_its_stage(self) -> Self:
        given = [name for name in StageName if getattr(self, name.value) is not None]
        if given != [self.identity.stage]:
            raise ValueError(f"identity.stage is {self.identity.stage}, but the blocks given are {given}")
        return self


class TerminationMessage(Model):
    """What the launcher leaves behind when it ends, at most 4096 bytes of JSON."""

    cause: Annotated[str, StringConstraints(max_length=64)] | None = None
    """A Cause; unset for success and for a stop."""
    message: Annotated[str, StringConstraints(max_length=1500)] = ""
    """What happened."""
    remedy: Annotated[str, StringConstraints(max_length=600)] = ""
    """What to do."""
    rank: Annotated[int, Field(ge=0)] | None = None
    """Rank that failed first."""
    exit_code: Annotated[int, Field(ge=0, le=255)]
    """Exit code of the launcher."""
