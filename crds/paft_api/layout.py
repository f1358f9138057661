"""Where artifacts lie under storage.artifactsUri, and what the files there are called.

    <artifactsUri>/
      index/<sha256 of uri, key, size, ETag of every file>.json      digests of bases and data that were read once
      reference/<digest of base, precision, tokens>/                 log-probabilities of DPO's reference, for all jobs
        rows-<first>-<end>.safetensors                                one shard each, complete by itself
      <stage>/<stage digest>/                                         a finished adapter: plain PEFT folder
        paft_claim.json                                               first: which attempt's files these are
        adapter_config.json, adapter_model.safetensors, README.md
        paft_manifest.json                                            last: complete
      <stage>/<stage digest>/attempts/<job uid>-<attempt>/
        checkpoints/step-00000200/ … checkpoint_manifest.json         last: complete
        adapter/ … paft_manifest.json                                 the attempt's own copy

An output folder holds `paft_claim.json` first and `merge_manifest.json` last in the same way. A merge with candidates
writes each into a folder of the same form below its own:

    <output>candidates/<name>/
"""

from paft_api.stages import StageName

CLAIM_FILE = "paft_claim.json"
ADAPTER_MANIFEST_FILE = "paft_manifest.json"
CHECKPOINT_MANIFEST_FILE = "checkpoint_manifest.json"
MERGE_MANIFEST_FILE = "merge_manifest.json"


def _hexadecimal(digest: str) -> str:
    return digest.removeprefix("sha256:")


def index_uri(artifacts_uri: str, listing_digest: str) -> str:
    """Cached digests of a folder that was read once."""
    return f"{artifacts_uri}index/{_hexadecimal(listing_digest)}.json"


def reference_folder(artifacts_uri: str, reference_digest: str) -> str:
    """Folder of the reference log-probabilities of one set of preference pairs."""
    return f"{artifacts_uri}reference/{_hexadecimal(reference_digest)}/"


def stage_folder(artifacts_uri: str, stage: StageName, stage_digest: str) -> str:
    """Folder of a finished artifact."""
    return f"{artifacts_uri}{stage}/{_hexadecimal(stage_digest)}/"


def attempts_folder(artifacts_uri: str, stage: StageName, stage_digest: str) -> str:
    """Folder of all attempts at an artifact, of any job."""
    return f"{stage_folder(artifacts_uri, stage, stage_digest)}attempts/"


def attempt_folder(artifacts_uri: str, stage: StageName, stage_digest: str, job_uid: str, attempt: int) -> str:
    """Folder of one attempt."""
    return f"{attempts_folder(artifacts_uri, stage, stage_digest)}{job_uid}-{attempt}/"


def checkpoint_folder(attempt: str, step: int) -> str:
    """Folder of one checkpoint; names sort by step."""
    return f"{attempt}checkpoints/step-{step:08d}/"


def candidate_folder(output: str, name: str) -> str:
    """Folder of a merge beside the one that goes into `output`."""
    return f"{output}candidates/{name}/"
