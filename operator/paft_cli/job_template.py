"""The text of a job file that somebody begins with. A pure function of what is known."""

from dataclasses import dataclass

from paft_api.spec.job import API_VERSION, KIND
from paft_cli.estimates.fitting import FittingPasses
from paft_cli.tables import format_bytes

GPUS_OF_A_NODE = 8
_COMMENT_COLUMN = 44


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmAnswers:
    """One arm. `batch`: rows of a step. `learning_rate`: as it is written."""

    uri: str
    format: str
    passes: FittingPasses
    batch: int
    learning_rate: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobAnswers:
    """What the file says. `base_words`: what is known of the base. `gpus`: of each arm, 0 for CPU. `available`: bytes
    of one of them, or of a process's memory. `memory`: of a CPU pod, as a quantity."""

    schema: str
    name: str
    base: str
    base_words: str
    artifacts: str
    output: str
    endpoint: str | None
    gpus: int
    gpu: str
    available: int
    max_length: int
    sft: ArmAnswers
    preference: ArmAnswers

    @property
    def nodes(self) -> int:
        """Pods of each arm."""
        return max(1, self.gpus // GPUS_OF_A_NODE)


def job_text(answers: JobAnswers) -> str:
    """YAML with comments, valid as it is."""
    return "\n".join([*_head(answers), *_arms(answers), *_end(answers)]) + "\n"


def _head(answers: JobAnswers) -> list[str]:
    endpoint = f"    endpoint: {answers.endpoint}"
    if answers.endpoint is None:
        endpoint = "    # endpoint: https://minio.example.com"
    return [
        f"# yaml-language-server: $schema={answers.schema}",
        f"# {answers.base_words}",
        "# Change the addresses. Then: paft validate --deep, paft estimate, and paft run or paft submit.",
        f"apiVersion: {API_VERSION}",
        f"kind: {KIND}",
        "metadata:",
        f"  name: {answers.name}",
        "spec:",
        "  base:",
        _line(f"    uri: {answers.base}", "a Hugging Face folder with safetensors"),
        "  storage:",
        _line(f"    artifactsUri: {answers.artifacts}", "checkpoints and adapters"),
        _line(endpoint, "an S3-compatible server; default AWS"),
        _line("    # secretRef: {name: s3}", "keys in a cluster; default workload identity"),
    ]


def _arms(answers: JobAnswers) -> list[str]:
    return [
        "  sft:",
        *_data(answers.sft, "or prompt-completion"),
        _line("    l1: {mode: proximal, lambda: 1.0e-4}", "makes the adapter sparse; or targetSparsity"),
        *_arm(answers, answers.sft, "lower it where the loss is not steady"),
        "  preference:",
        _line("    method: dpo"),
        _line("    dpo: {beta: 0.1}", "strength of the pull towards the base"),
        *_data(answers.preference, "prompt, chosen and rejected"),
        *_arm(answers, answers.preference, "much lower than for SFT"),
    ]


def _end(answers: JobAnswers) -> list[str]:
    return [
        "  merge:",
        _line("    method: ties", "docs/guides/merging.md shows all"),
        "    output:",
        _line(f"      uri: {answers.output}", "an empty folder; published once"),
    ]


def _data(arm: ArmAnswers, form: str) -> list[str]:
    return [
        "    data:",
        _line(f"      train: [{{uri: {arm.uri}, format: {arm.format}}}]", form),
        _line("      # eval: [...]", "rows for evaluations and earlyStopping"),
    ]


def _arm(answers: JobAnswers, arm: ArmAnswers, rate: str) -> list[str]:
    processes = max(1, answers.gpus)
    checkpointing = str(arm.passes.gradient_checkpointing).lower()
    return [
        _line("    lora: {r: 16, alpha: 32}", "of every linear module but the output head"),
        "    training:",
        _line("      epochs: 1", "or maxSteps"),
        _line(f"      learningRate: {arm.learning_rate}", rate),
        _line(f"      globalBatchSize: {arm.batch}", f"rows of a step; a multiple of {processes} × microBatchSize"),
        _line(f"      microBatchSize: {arm.passes.micro_batch_size}", _memory(answers, arm.passes)),
        _line(f"      gradientCheckpointing: {checkpointing}", "saves memory, and computes half as much again"),
        _line(f"      maxLength: {answers.max_length}", "tokens; longer rows are cut"),
        _line("      saveSteps: 200", "steps between checkpoints"),
        _resources(answers),
    ]


def _line(text: str, comment: str | None = None) -> str:
    return text if comment is None else f"{text:<{_COMMENT_COLUMN}}  # {comment}"


def _memory(answers: JobAnswers, passes: FittingPasses) -> str:
    there = f"{format_bytes(answers.available)} of {'one ' + answers.gpu if answers.gpus else 'a process'}"
    if passes.fits:
        return f"takes about {format_bytes(passes.peak)} of the {there}"
    return f"DOES NOT FIT: takes about {format_bytes(passes.peak)}, more than the {there}"


def _resources(answers: JobAnswers) -> str:
    if answers.gpus == 0:
        return _line("    resources: {gpusPerNode: 0}", "on CPU")
    per_node = answers.gpus // answers.nodes
    memory, shared = max(32, 16 * per_node), max(8, 2 * per_node)
    return (
        f'    resources: {{nodes: {answers.nodes}, gpusPerNode: {per_node}, cpu: "{4 * per_node}", '
        f"memory: {memory}Gi, sharedMemory: {shared}Gi}}"
    )
