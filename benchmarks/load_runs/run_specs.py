"""RunSpecs of arms on two CPU ranks, whose base and artifacts lie in the server and whose data on this disk."""

import uuid
from pathlib import Path

from benchmarks.load_runs.bases import Base
from benchmarks.load_runs.counting_server import CountingServer
from hack import seaweedfs
from tests.run_specs import STAGE_DIGESTS, write_sums

from paft_api.run_spec import NodeCache, PreferenceRun, RunSpec, SftRun, StageIdentity, World
from paft_api.spec.base import BaseSpec
from paft_api.spec.data import DataFormat, DataSource, DataSpec
from paft_api.spec.lora import LoraSpec
from paft_api.spec.preference import DpoSpec, PreferenceSpec
from paft_api.spec.resources import ArmResources
from paft_api.spec.sft import SftSpec
from paft_api.spec.storage import StorageSpec
from paft_api.spec.training import PreferenceTrainingSpec, SftTrainingSpec
from paft_api.stages import StageName
from paft_trainer.base.index import index_base
from paft_trainer.storage import open_store
from paft_trainer.storage.file_store import uri_of

RANKS = 2
THREADS = 1
ARTIFACTS_BUCKET = "artifacts"
_CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}</{{ message['role'] }}>{% endfor %}"
)
_TRAINING = {"max_steps": 2, "global_batch_size": 2, "micro_batch_size": 1, "max_length": 64}


def storage_of(server: CountingServer) -> StorageSpec:
    """A folder for artifacts of its own, so that no arm finds another's adapter."""
    seaweedfs.create_bucket(server.server, ARTIFACTS_BUCKET)
    return StorageSpec(artifacts_uri=f"s3://{ARTIFACTS_BUCKET}/{uuid.uuid4().hex}/", endpoint=server.server.endpoint)


def arm_run_spec(
    stage: StageName, base: Base, storage: StorageSpec, folder: Path, cache: Path | None = None
) -> RunSpec:
    """An arm of two short steps, prepared: the base's index is there. `cache`: folder of a node's cache."""
    folder.mkdir(parents=True)
    chats, pairs = write_sums(folder)
    index = index_base(open_store(storage), base.uri, storage.artifacts_uri)
    world = World(
        nodes=1,
        processes_per_node=RANKS,
        device="cpu",
        gradient_accumulation_steps=1,
        threads_per_process=THREADS,
    )
    lora, resources = LoraSpec(r=4), ArmResources(gpus_per_node=0, processes_per_node=RANKS)
    sft = SftSpec(
        data=_data(chats, DataFormat.MESSAGES),
        lora=lora,
        training=SftTrainingSpec(**_TRAINING),
        resources=resources,
    )
    preference = PreferenceSpec(
        method="dpo",
        dpo=DpoSpec(),
        data=_data(pairs, DataFormat.PREFERENCE),
        lora=lora,
        training=PreferenceTrainingSpec(**_TRAINING),
        resources=resources,
    )
    is_sft = stage is StageName.SFT
    return RunSpec(
        identity=StageIdentity(
            job_name="load", job_namespace="benchmark", job_uid="benchmark", generation=1, stage=stage, attempt=1
        ),
        base=BaseSpec(uri=base.uri, chat_template=_CHAT_TEMPLATE),
        storage=storage,
        base_digest=index.digest,
        stage_digest=STAGE_DIGESTS[stage],
        report_path=str(folder / "report.json"),
        termination_path=str(folder / "termination.json"),
        scratch_directory=str(folder / "scratch"),
        cache_directory=str(folder / "copies"),
        base_cache=None if cache is None else NodeCache(directory=str(cache), max_bytes=2 * base.size),
        sft=SftRun(spec=sft, world=world) if is_sft else None,
        preference=None if is_sft else PreferenceRun(spec=preference, world=world),
    )


def _data(file: Path, form: DataFormat) -> DataSpec:
    return DataSpec(train=(DataSource(uri=uri_of(file), format=form),))
