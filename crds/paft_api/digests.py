"""Digests: the identity of work. Equal digests mean that one result serves both.

A stage digest covers what changes the mathematics and leaves out what does not: resources, micro batch, image,
credentials, endpoint, intervals, retention and attempts.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

from paft_api.spec.data import DataSource
from paft_api.spec.merge import MergeOptions, MergeOutput, MergeSpec
from paft_api.spec.preference import PreferenceSpec
from paft_api.spec.sft import SftSpec
from paft_api.spec.training import TrainingSpec
from paft_api.stages import StageName

FORMAT_VERSION = 1
"""Raised when the same inputs would give other bytes."""

NOT_MATHEMATICS = {
    "micro_batch_size",
    "packing",
    "gradient_checkpointing",
    "offload_optimizer",
    "offload_param",
    "use_liger_kernel",
    "torch_compile",
    "save_steps",
    "save_seconds",
    "keep",
    "hang_timeout",
}
"""Fields of a training block that change how it is computed, but not what."""

OF_EVALUATIONS = {"eval_steps", "early_stopping", "publish"}
"""Those that change what is computed where evaluations decide, and nothing where they only tell."""


OFF_BY_DEFAULT = {
    "lr_scheduler_kwargs",
    "optimizer",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "neftune_noise_alpha",
    "assistant_only_loss",
    "assistant_mask",
    "completion_only_loss",
}
"""Those that count where they are not as by default: jobs from before they were there keep their digests."""


def digest_of(document: Mapping[str, object] | Sequence[object]) -> str:
    """`sha256:` of the canonical JSON (sorted keys, no blanks) of a document."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def file_set_digest(sha256_by_name: Mapping[str, str]) -> str:
    """Digest of a folder from the SHA-256 of each file."""
    return digest_of({"files": dict(sha256_by_name)})


def data_digest(files: Sequence[tuple[DataSource, Sequence[tuple[str, str]]]]) -> str:
    """Digest of training data: for each source its format and the (name, SHA-256) of its files in reading order.

    Addresses are left out: the same rows at another place are the same data. Columns and weight of a source are part of
    it where they are not the default.
    """
    return digest_of([[source.format, [sha256 for _, sha256 in names], *_reading(source)] for source, names in files])


def _reading(source: DataSource) -> list[dict[str, object]]:
    """What makes other rows of the same files."""
    reading: dict[str, object] = {}
    if columns := {field: column for field, column in source.columns.items() if field != column}:
        reading["columns"] = columns
    if source.weight != 1.0:
        reading["weight"] = source.weight
    return [reading] if reading else []


def sft_digest(
    spec: SftSpec, *, base_digest: str, chat_template: str | None, data: str, evaluation: str | None = None
) -> str:
    """Stage digest of the supervised arm. `data`, `evaluation`: digests of rows, of the latter where they decide."""
    return digest_of(
        {
            "format": FORMAT_VERSION,
            "stage": StageName.SFT,
            "base": base_digest,
            "chatTemplate": chat_template,
            "data": data,
            "l1": spec.l1.resolved(),
            "lora": spec.lora.resolved(),
            "training": _mathematics(spec.training),
            **_evaluations(spec.training, evaluation),
        }
    )


def preference_digest(
    spec: PreferenceSpec, *, base_digest: str, chat_template: str | None, data: str, evaluation: str | None = None
) -> str:
    """Stage digest of the alignment arm. `data`, `evaluation`: digests of rows, of the latter where they decide."""
    return digest_of(
        {
            "format": FORMAT_VERSION,
            "stage": StageName.PREFERENCE,
            "base": base_digest,
            "chatTemplate": chat_template,
            "data": data,
            "method": spec.method,
            spec.method: spec.resolved_options(),
            "lora": spec.lora.resolved(),
            "training": _mathematics(spec.training),
            **_evaluations(spec.training, evaluation),
        }
    )


def recipe_digest(
    options: MergeOptions,
    output: MergeOutput,
    *,
    base_digest: str,
    sft_adapter: str,
    preference_adapter: str,
    chat_template: str | None = None,
) -> str:
    """Digest of one merge, the job's or a candidate's: equal recipes write equal bytes.

    It covers the options that act, defaults worked out. `chat_template`: the job's own, which goes into the output.
    """
    form: dict[str, object] = {"form": output.form, "maxShardBytes": output.max_shard_bytes}
    if output.form == "Adapter":
        form["rank"] = output.rank
    return digest_of(
        {
            "format": FORMAT_VERSION,
            "base": base_digest,
            "chatTemplate": chat_template,
            "sft": sft_adapter,
            "preference": preference_adapter,
            "options": options.resolved(),
            "output": form,
        }
    )


def merge_stage_digest(
    spec: MergeSpec, *, base_digest: str, sft_adapter: str, preference_adapter: str, chat_template: str | None = None
) -> str:
    """Stage digest of the merge: its recipe digest; with candidates, one over theirs too, and their names."""

    def digest(options: MergeOptions) -> str:
        return recipe_digest(
            options,
            spec.output,
            base_digest=base_digest,
            sft_adapter=sft_adapter,
            preference_adapter=preference_adapter,
            chat_template=chat_template,
        )

    if not spec.candidates:
        return digest(spec)
    candidates = {candidate.name: digest(candidate) for candidate in spec.candidates}
    return digest_of({"format": FORMAT_VERSION, "merge": digest(spec), "candidates": candidates})


def _mathematics(training: TrainingSpec) -> dict[str, object]:
    fields = type(training).model_fields
    off = {name for name in OFF_BY_DEFAULT & fields.keys() if getattr(training, name) == fields[name].default}
    return training.model_dump(mode="json", by_alias=True, exclude=NOT_MATHEMATICS | OF_EVALUATIONS | off)


def _evaluations(training: TrainingSpec, rows: str | None) -> dict[str, object]:
    """What decides where training ends and which adapter is published; nothing where evaluations only tell."""
    if not training.evaluations_decide:
        return {}
    assert rows is not None
    stopping = training.early_stopping
    return {
        "evaluations": {
            "rows": rows,
            "steps": training.eval_steps,
            "earlyStopping": stopping.to_document() if stopping is not None else None,
            "publish": "best" if training.publishes_best else "last",
        }
    }
