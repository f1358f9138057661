"""Where artifacts lie under storage.artifactsUri, and what the files there are called.

    <artifactsUri>/
      index/<sha256 of uri, key, size, ETag of every file>.json      digests of bases and data that were read once
      index/<the same>.pieces                                         a base's hashes piece by piece; before the .json
      index/<the same>.partial/                                       of a base that is being read: what is done so far
      index/<digest of base, precision, tokens>.reference/            log-probabilities of DPO's reference, for all jobs
        rows-<first>-<end>.safetensors                                one shard of pairs, complete by itself
      prepare/<job uid>-<attempt>.json                                of an attempt at prepare that left something
      <stage>/<stage digest>/                                         a finished adapter: plain PEFT folder
        paft_claim.json                                               first: which attempt's files these are
        adapter_config.json, adapter_model.safetensors, README.md
        paft_manifest.json                                            last: complete
      <stage>/<stage digest>/attempts/<job uid>-<attempt>/
        paft_attempt.json                                             first: whose this is; again when it ends: how
        checkpoints/step-00000200/                                    a part of each rank, trainer_state.json
          checkpoint_manifest.json                                    last: complete
        adapter/ … paft_manifest.json                                 the attempt's own copy
      tracking/<job name>-<job uid>/                                  what trackers wrote down; nothing of it is read
        tensorboard/<stage>/events.out.tfevents.*                     one file for each attempt; a run for each stage
        wandb/<stage>/, mlflow/<stage>-<attempt>/                     runs that are offline

An output folder holds `paft_claim.json` first and `merge_manifest.json` last in the same way. A merge with candidates
writes each into a folder of the same form below its own:

    <output>candidates/<name>/

While a merge is unfinished, its attempts have markers there, too:

    <output>.paft-attempt-<job uid>-<attempt>.json
"""

from paft_api.stages import StageName

CLAIM_FILE = "paft_claim.json"
ATTEMPT_MARKER_FILE = "paft_attempt.json"
MERGE_ATTEMPT_PREFIX = ".paft-attempt-"
SHARD_RECORD_PREFIX = ".paft-shard-"
"""Names of the files with what is known of a merge's shards that are written, until the manifest says that all are."""
ADAPTER_MANIFEST_FILE = "paft_manifest.json"
CHECKPOINT_MANIFEST_FILE = "checkpoint_manifest.json"
MERGE_MANIFEST_FILE = "merge_manifest.json"

ATTEMPTS = "attempts/"
"""Below an artifact or an output: a folder for each attempt at it."""
CHECKPOINTS = "checkpoints/"
"""In the folder of an attempt at an arm."""
OWN_ADAPTER = "adapter/"
"""The same."""
CANDIDATES = "candidates/"
"""Below an output."""
INDEX = "index/"
"""Below artifactsUri."""
PREPARE_ATTEMPTS = "prepare/"
"""The same: markers of attempts at prepare."""
PROBE_PREFIX = ".paft-probe-"
"""Names of what prepare writes into artifacts and output, to try out rights, and deletes again."""


def _hexadecimal(digest: str) -> str:
    return digest.removeprefix("sha256:")


def index_uri(artifacts_uri: str, listing_digest: str) -> str:
    """Cached digests of a folder that was read once."""
    return f"{artifacts_uri}{INDEX}{_hexadecimal(listing_digest)}.json"


def pieces_uri(artifacts_uri: str, listing_digest: str) -> str:
    """Hashes of the pieces of a base that was read once."""
    return f"{artifacts_uri}{INDEX}{_hexadecimal(listing_digest)}.pieces"


def unfinished_index_folder(artifacts_uri: str, listing_digest: str) -> str:
    """What is known so far of a base that is being read. Whoever finds it may go on from it, or delete it."""
    return f"{artifacts_uri}{INDEX}{_hexadecimal(listing_digest)}.partial/"


def reference_folder(artifacts_uri: str, reference_digest: str) -> str:
    """Folder of the reference log-probabilities of one set of preference pairs."""
    return f"{artifacts_uri}{INDEX}{_hexadecimal(reference_digest)}.reference/"


def stage_folder(artifacts_uri: str, stage: StageName, stage_digest: str) -> str:
    """Folder of a finished artifact."""
    return f"{artifacts_uri}{stage}/{_hexadecimal(stage_digest)}/"


def attempts_folder(artifacts_uri: str, stage: StageName, stage_digest: str) -> str:
    """Folder of all attempts at an artifact, of any job."""
    return f"{stage_folder(artifacts_uri, stage, stage_digest)}{ATTEMPTS}"


def attempt_folder(artifacts_uri: str, stage: StageName, stage_digest: str, job_uid: str, attempt: int) -> str:
    """Folder of one attempt."""
    return f"{attempts_folder(artifacts_uri, stage, stage_digest)}{attempt_name(job_uid, attempt)}/"


def attempt_name(job_uid: str, attempt: int) -> str:
    """What an attempt's folder is called."""
    return f"{job_uid}-{attempt}"


def tracking_folder(artifacts_uri: str, job_name: str, job_uid: str) -> str:
    """Folder of what trackers of one job's stages wrote down."""
    return f"{artifacts_uri}tracking/{job_name}-{job_uid}/"


def attempt_marker_uri(attempt: str) -> str:
    """The marker of an attempt at an arm, in its folder."""
    return attempt + ATTEMPT_MARKER_FILE


def writer_name(stage: StageName, job_uid: str, attempt: int) -> str:
    """What temporary files of an attempt are called by."""
    return f"{stage}-{attempt_name(job_uid, attempt)}"


def prepare_attempt_marker_uri(artifacts_uri: str, job_uid: str, attempt: int) -> str:
    """The marker of an attempt at prepare."""
    return f"{artifacts_uri}{PREPARE_ATTEMPTS}{attempt_name(job_uid, attempt)}.json"


def probe_uri(folder: str, job_uid: str, attempt: int) -> str:
    """With which an attempt at prepare tries out its rights in a folder."""
    return f"{folder}{PROBE_PREFIX}{attempt_name(job_uid, attempt)}"


def merge_attempt_marker_uri(output: str, job_uid: str, attempt: int) -> str:
    """The marker of an attempt at a merge."""
    return f"{output}{MERGE_ATTEMPT_PREFIX}{attempt_name(job_uid, attempt)}.json"


def checkpoint_folder(attempt: str, step: int) -> str:
    """Folder of one checkpoint; names sort by step."""
    return f"{attempt}{CHECKPOINTS}step-{step:08d}/"


def candidate_folder(output: str, name: str) -> str:
    """Folder of a merge beside the one that goes into `output`."""
    return f"{output}{CANDIDATES}{name}/"
