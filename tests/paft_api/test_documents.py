"""Wrong job files, each with the exact text a person gets to read."""

from pathlib import Path

import pytest

from paft_api.documents import load_job
from paft_api.errors import JobFileInvalid
from paft_api.spec import PaftJob

JOB = """\
apiVersion: paft.dev/v1alpha1
kind: PaftJob
metadata:
  name: example
spec:
  base:
    uri: s3://models/base/
  storage:
    artifactsUri: s3://paft/artifacts/
  sft:
    data:
      train:
      - uri: s3://data/chats.jsonl
        format: messages
    training: {globalBatchSize: 8}
    resources: {gpusPerNode: 4}
  preference:
    data:
      train: [{uri: s3://data/pairs.jsonl, format: preference}]
  merge:
    method: ties
    output: {uri: s3://models/fused/}
"""

# What is replaced in JOB, by what, and what is said.
WRONG: dict[str, tuple[str, str, str]] = {
    "unknown field": (
        "globalBatchSize: 8",
        "globalBatchsize: 8",
        "job.yaml:15:16: spec.sft.training.globalBatchsize: unknown field. Did you mean globalBatchSize?",
    ),
    "unknown value of a closed list": (
        "format: messages",
        "format: mesages",
        'job.yaml:14:9: spec.sft.data.train[0].format: "mesages" is not allowed; use messages, prompt-completion, '
        "text, sharegpt, alpaca or preference. Did you mean messages?",
    ),
    "missing field": (
        "    uri: s3://models/base/\n",
        "    chatTemplate: null\n",
        "job.yaml:6:3: spec.base.uri: this field is missing; it is: A Hugging Face folder: safetensors weights, "
        "config.json and tokenizer files",
    ),
    "number as text": (
        "globalBatchSize: 8",
        'globalBatchSize: "8"',
        'job.yaml:15:16: spec.sft.training.globalBatchSize: "8" is text, not a whole number; remove the quotes',
    ),
    "fraction of a step": (
        "globalBatchSize: 8",
        "globalBatchSize: 8.5",
        "job.yaml:15:16: spec.sft.training.globalBatchSize: 8.5 is not a whole number",
    ),
    "text as number": (
        "  name: example",
        "  name: 42",
        "job.yaml:4:3: metadata.name: 42 is not text; put it in quotes",
    ),
    "below a bound": (
        "gpusPerNode: 4",
        "gpusPerNode: -1",
        "job.yaml:16:17: spec.sft.resources.gpusPerNode: -1 is out of bounds; it must be at least 0",
    ),
    "above a bound": (
        "    method: ties",
        "    density: 1.5",
        "job.yaml:21:5: spec.merge.density: 1.5 is out of bounds; it must be at most 1",
    ),
    "bad name": (
        "  name: example",
        "  name: Example_1",
        'job.yaml:4:3: metadata.name: "Example_1" does not have the right form; use lower-case letters, digits and -, '
        "starting with a letter",
    ),
    "name too long": (
        "  name: example",
        f"  name: {'e' * 41}",
        "job.yaml:4:3: metadata.name: too long (41 characters); at most 40 are allowed",
    ),
    "bad address": (
        "s3://models/base/",
        "models/base",
        'job.yaml:7:5: spec.base.uri: "models/base" does not have the right form; write s3://bucket/folder/ or '
        "file:///absolute/path/",
    ),
    "bad quantity": (
        "gpusPerNode: 4",
        "memory: 64GB",
        'job.yaml:16:17: spec.sft.resources.memory: "64GB" does not have the right form; write a Kubernetes quantity '
        "such as 4, 500m or 64Gi",
    ),
    "empty block": (
        "    training: {globalBatchSize: 8}",
        "    training:",
        "job.yaml:15:5: spec.sft.training: empty, but it must be a map of fields; give a value or remove the field",
    ),
    "empty list": (
        "train: [{uri: s3://data/pairs.jsonl, format: preference}]",
        "train: []",
        "job.yaml:19:7: spec.preference.data.train: 0 entries; at least 1 entry is needed",
    ),
    "list for a map": (
        "    training: {globalBatchSize: 8}",
        "    training: [8]",
        "job.yaml:15:5: spec.sft.training: [8] is not a map of fields",
    ),
    "data of the other arm": (
        "format: preference",
        "format: messages",
        "job.yaml:19:44: spec.preference.data.train[0].format: messages cannot be used in this arm; use preference",
    ),
    "batch that does not divide": (
        "globalBatchSize: 8",
        "globalBatchSize: 10",
        "job.yaml:15:16: spec.sft.training.globalBatchSize: 10 is not a multiple of 4 processes × microBatchSize 1 = "
        "4; use 8",
    ),
    "option of another method": (
        "    method: ties",
        "    method: linear\n    density: 0.5",
        "job.yaml:22:5: spec.merge.density: 0.5 has no effect with method linear; remove it or use breadcrumbs or "
        "dare_linear or dare_ties or della or sce or ties",
    ),
    "weights of an entry": (
        "    method: ties",
        "    method: slerp\n    weights:\n    - {}\n    - {sft: -1}",
        "job.yaml:24:7: spec.merge.weights[1]: is no place between two deltas; slerp needs weights of which none is "
        "negative and one is above 0",
    ),
    "option of another method in a candidate": (
        "    method: ties",
        "    candidates:\n    - {name: other, gamma: 0.1}",
        "job.yaml:22:21: spec.merge.candidates[0].gamma: 0.1 has no effect with method ties; remove it or use "
        "breadcrumbs",
    ),
    "loss of another name": (
        "  preference:\n",
        "  preference:\n    dpo: {losses: [{type: sigmod}]}\n",
        'job.yaml:18:21: spec.preference.dpo.losses[0].type: "sigmod" is not allowed; use sigmoid, hinge, ipo, '
        "exo_pair, nca_pair, robust, bco_pair, sppo_hard, aot, aot_unpaired, apo_zero, apo_down, discopop, sft or "
        "sigmoid_norm. Did you mean sigmoid?",
    ),
    "loss of whole batches": (
        "  preference:\n",
        "  preference:\n    dpo: {losses: [{type: aot_unpaired}]}\n",
        "job.yaml:18:21: spec.preference.dpo.losses[0].type: aot_unpaired is not available in this version; it "
        "compares the sorted pairs of each forward pass, so that the result would depend on microBatchSize, packing "
        "and the number of processes; use another type",
    ),
    "smoothing that does nothing": (
        "  preference:\n",
        "  preference:\n    dpo: {labelSmoothing: 0.1}\n",
        "job.yaml:18:11: spec.preference.dpo.labelSmoothing: 0.1 has no effect without loss exo_pair or robust; "
        "remove it",
    ),
    "smoothing of half the labels": (
        "  preference:\n",
        "  preference:\n    dpo: {losses: [{type: robust}], labelSmoothing: 0.5}\n",
        "job.yaml:18:37: spec.preference.dpo.labelSmoothing: 0.5 is out of bounds; it must be at most 0.49",
    ),
    "exo without smoothing": (
        "  preference:\n",
        "  preference:\n    dpo: {losses: [{type: exo_pair}]}\n",
        "job.yaml:18:5: spec.preference.dpo.labelSmoothing: must be above 0 with loss exo_pair; use 0.001, as its "
        "paper does",
    ),
    "temperature that does nothing": (
        "  preference:\n",
        "  preference:\n    dpo: {discopopTau: 0.1}\n",
        "job.yaml:18:11: spec.preference.dpo.discopopTau: 0.1 has no effect without loss discopop; remove it",
    ),
    "alpha that does nothing": (
        "  preference:\n",
        "  preference:\n    dpo: {fAlphaDivergenceCoef: 0.3}\n",
        "job.yaml:18:11: spec.preference.dpo.fAlphaDivergenceCoef: 0.3 has no effect with fDivergenceType reverse_kl; "
        "remove it or use alpha_divergence",
    ),
    "divergence that a loss has none of": (
        "  preference:\n",
        "  preference:\n    dpo: {fDivergenceType: forward_kl, losses: [{type: apo_zero}]}\n",
        "job.yaml:18:11: spec.preference.dpo.fDivergenceType: forward_kl is not defined for loss apo_zero, which is "
        "none of the difference of two rewards; use reverse_kl, or remove that loss",
    ),
    "strength of nothing": (
        "  preference:\n",
        "  preference:\n    method: orpo\n    orpo: {beta: 0}\n",
        "job.yaml:19:12: spec.preference.orpo.beta: 0 is out of bounds; it must be greater than 0",
    ),
    "TRL's name of another field": (
        "  preference:\n",
        "  preference:\n    method: orpo\n    orpo: {lambda: 0.1}\n",
        "job.yaml:19:12: spec.preference.orpo.lambda: unknown field",
    ),
    "options of ORPO for DPO": (
        "  preference:\n",
        "  preference:\n    orpo: {beta: 0.2}\n",
        "job.yaml:18:5: spec.preference.orpo: has no effect with method dpo; remove it or use method orpo",
    ),
    "options of DPO for ORPO": (
        "  preference:\n",
        "  preference:\n    method: orpo\n    dpo: {}\n",
        "job.yaml:19:5: spec.preference.dpo: has no effect with method orpo; remove it or use method dpo",
    ),
    "output inside the base": (
        "s3://models/fused/",
        "s3://models/base/fused/",
        "job.yaml:22:14: spec.merge.output.uri: s3://models/base/fused/ and base.uri s3://models/base/ lie in one "
        "another; give the output a folder of its own",
    ),
    "DeepSpeed settings without end": (
        "globalBatchSize: 8",
        f"deepspeed: {{a: {'x' * 20_000}}}",
        "job.yaml:15:16: spec.sft.training.deepspeed: 20009 characters of JSON; at most 16384 are allowed",
    ),
    "another kind": ("kind: PaftJob", "kind: Job", 'job.yaml:2:1: kind: "Job" is not allowed; use PaftJob'),
    "word that YAML reads as true": (
        "globalBatchSize: 8",
        "globalBatchSize: yes",
        "job.yaml:15:16: spec.sft.training.globalBatchSize: true is not a whole number",
    ),
    "key that YAML reads as true": ("  merge:\n", "  on: 1\n  merge:\n", "job.yaml:20:3: spec.true: unknown field"),
    "infinity": (
        "globalBatchSize: 8",
        "learningRate: .inf",
        "job.yaml:15:30: spec.sft.training.learningRate: .inf is not a finite number",
    ),
    "key written twice": (
        "    method: ties\n",
        "    method: ties\n    method: linear\n",
        "job.yaml:22:5: spec.merge.method: written twice; the first is on line 21",
    ),
    "foreign tag": (
        "method: ties",
        "method: !!python/name:os.system ties",
        "job.yaml:21:13: spec.merge.method: the tag !!python/name:os.system does not go with 'ties'; remove it",
    ),
    "tab": (
        "  merge:\n",
        "\tmerge:\n",
        "job.yaml:20:1: not valid YAML: found character '\\t' that cannot start any token",
    ),
    "syntax": (
        "{uri: s3://models/fused/}",
        "{uri: s3://models/fused/",
        "job.yaml:23:1: not valid YAML: expected ',' or '}', but got '<stream end>'",
    ),
    "unknown alias": (
        "method: ties",
        "method: *method",
        "job.yaml:21:13: not valid YAML: found undefined alias 'method'",
    ),
    "control character": (
        "name: example",
        "name: exa\x07mple",
        "job.yaml:4:12: not valid YAML: the character U+0007 cannot stand here; remove it",
    ),
    "alias of itself": (
        "    method: ties\n",
        "    weights: &w [*w]\n",
        "job.yaml:21:14: spec.merge.weights[0]: an alias inside its own anchor; write the value out",
    ),
    "merge key without a map": (
        "    method: ties\n",
        "    <<: ties\n",
        "job.yaml:21:9: spec.merge: << takes a map or a list of maps",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_mistake_gives_one_line(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, expected = WRONG[case]
    assert JOB.count(old) == 1

    assert _complaint(JOB.replace(old, new), tmp_path, monkeypatch) == expected


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        JOB.replace("globalBatchSize: 8", "epochs: 0, epochs: 1")
        .replace("format: messages", "form: messages")
        .replace("method: ties", "method: delta")
        .replace("gpusPerNode: 4", "gpusPerNode: .nan")
    )

    assert _complaint(text, tmp_path, monkeypatch).split("\n") == [
        "job.yaml:13:9: spec.sft.data.train[0].format: this field is missing; it is: Form of the rows: messages, "
        "prompt-completion, text, sharegpt or alpaca for SFT, preference for the preference arm",
        "job.yaml:14:9: spec.sft.data.train[0].form: unknown field. Did you mean format?",
        "job.yaml:15:27: spec.sft.training.epochs: written twice; the first is on line 15",
        "job.yaml:16:30: spec.sft.resources.gpusPerNode: .nan is not a finite number",
        'job.yaml:21:5: spec.merge.method: "delta" is not allowed; use linear, task_arithmetic, ties, dare_linear, '
        "dare_ties, della, breadcrumbs, slerp, sce, model_stock, sft_only or preference_only. Did you mean della?",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "job.yaml: the file is empty; it should hold one PaftJob"),
        (b"# only a comment\n", "job.yaml: the file is empty; it should hold one PaftJob"),
        (b"- a\n", "job.yaml:1:1: the file holds no PaftJob: it is not a map"),
        (b"kind: \xff\n", "job.yaml: not UTF-8 at byte 6; save the file as UTF-8"),
        (
            b"a: 1\n---\nb: 2\n",
            "job.yaml:3:1: the file holds 2 documents; put each PaftJob into a file of its own",
        ),
        (b"[" * 100 + b"]" * 100, "job.yaml:1:65: nested deeper than 64 levels; fewer are enough"),
        (b"# " + b"x" * 1_000_000, "job.yaml: 1000002 bytes; at most 1000000 are read"),
    ],
)
def test_files_that_hold_no_job(content: bytes, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _complaint(content, tmp_path, monkeypatch) == expected


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.yaml").mkdir()

    for name, expected in (("none.yaml", "there is no such file"), ("folder.yaml", "this is a folder; name a file")):
        with pytest.raises(JobFileInvalid) as caught:
            load_job(Path(name))
        assert str(caught.value) == f"{name}: {expected}"


def test_aliases_that_multiply_are_refused_quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]

    assert "more than 100000 values, aliases followed; write less" in _complaint(
        "\n".join(levels), tmp_path, monkeypatch
    )


def test_a_job_may_use_anchors_and_merge_keys(tmp_path: Path) -> None:
    text = JOB.replace("    training: {globalBatchSize: 8}", "    lora: &lora {r: 8, alpha: 8}").replace(
        "  preference:\n", "  preference:\n    lora:\n      <<: *lora\n      r: 4\n"
    )

    job = _load(text, tmp_path)

    assert (job.spec.sft.lora.r, job.spec.sft.lora.alpha) == (8, 8)
    assert (job.spec.preference.lora.r, job.spec.preference.lora.alpha) == (4, 8)


def test_numbers_mean_what_kubectl_takes_them_for(tmp_path: Path) -> None:
    training = "    training: {learningRate: 1e-4, maxSteps: 1e3, globalBatchSize: 0x10}"

    job = _load(JOB.replace("    training: {globalBatchSize: 8}", training), tmp_path)

    assert job.spec.sft.training.learning_rate == 1e-4
    assert job.spec.sft.training.max_steps == 1000
    assert job.spec.sft.training.global_batch_size == 16


def test_what_a_cluster_adds_to_metadata_is_accepted(tmp_path: Path) -> None:
    text = JOB.replace(
        "  name: example\n",
        "  name: example\n  labels: {team: a}\n  annotations: {on: x}\n  creationTimestamp: 2026-01-01T00:00:00Z\n",
    )

    assert _load(text, tmp_path).metadata.name == "example"


def test_findings_can_be_used_by_programs(tmp_path: Path) -> None:
    with pytest.raises(JobFileInvalid) as caught:
        _load(JOB.replace("method: ties", "method: tie"), tmp_path)

    (finding,) = caught.value.findings
    assert (finding.line, finding.column, finding.path) == (21, 5, "spec.merge.method")


def _load(content: str, folder: Path) -> PaftJob:
    path = folder / "job.yaml"
    path.write_text(content, encoding="utf-8")
    return load_job(path)


def _complaint(content: str | bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(folder)
    Path("job.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(JobFileInvalid) as caught:
        load_job(Path("job.yaml"))
    return str(caught.value)
