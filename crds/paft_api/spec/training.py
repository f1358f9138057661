"""spec.*.training: how an arm is trained, in TRL's terms."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from paft_api.model import Model, refused
from paft_api.spec.free_form import FreeForm


class KeepSpec(Model):
    """Which checkpoints of an arm stay, over all attempts of the job."""

    last: Annotated[int, Field(ge=1, le=100)] = 2
    """Number of newest checkpoints. Default: 2."""

    best: Annotated[int, Field(ge=0, le=100)] = 1
    """Number of checkpoints with the lowest evaluation loss, besides the newest. Default: 1."""


class EarlyStoppingSpec(Model):
    """When training ends before its last step: where the loss on the evaluation rows does not fall any more."""

    patience: Annotated[int, Field(ge=1, le=1000)] = 1
    """Evaluations in a row without a lower loss, after which training ends. Default: 1."""

    min_delta: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """By more than how much a loss has to be below the last one that counted, to count as lower. Default: 0.0."""


class TrainingSpec(Model):
    """One arm's optimisation. A row is one training row; for DPO and ORPO one pair."""

    epochs: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Passes over the training rows; maxSteps, if set, ends training earlier or later. Default: 1.0."""

    max_steps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Optimizer steps in all. Default: what epochs gives."""

    learning_rate: Annotated[float, Field(gt=0, le=1)]
    """Peak learning rate of AdamW."""

    global_batch_size: Annotated[int, Field(ge=1, le=65536)] = 64
    """Rows per optimizer step in all; a multiple of nodes × processesPerNode × microBatchSize. Default: 64."""

    micro_batch_size: Annotated[int, Field(ge=1, le=4096)] = 1
    """Rows of maxLength tokens that a process computes in one forward pass; with packing as many shorter ones as give
    no more tokens. Does not change the result. Default: 1."""

    max_length: Annotated[int, Field(ge=8, le=1_048_576)] = 2048
    """Tokens per row; longer rows are cut at the end. Default: 2048."""

    lr_scheduler: Annotated[
        Literal[
            "constant",
            "constant_with_warmup",
            "linear",
            "cosine",
            "cosine_with_restarts",
            "polynomial",
            "inverse_sqrt",
            "cosine_with_min_lr",
            "cosine_warmup_with_min_lr",
            "warmup_stable_decay",
            "reduce_lr_on_plateau",
            "greedy",
        ],
        refused(
            dict.fromkeys(
                ("reduce_lr_on_plateau", "greedy"),
                "follows losses, so that an arm would not go on after a restart as it would have; use another",
            )
        ),
    ] = "cosine"
    """Learning-rate schedule, in transformers' terms; reduce_lr_on_plateau and greedy are refused. Default: cosine."""

    lr_scheduler_kwargs: FreeForm = {}
    """Options of the schedule, by transformers' names: num_cycles, power, lr_end, timescale, min_lr, min_lr_rate,
    num_decay_steps and so on; at most 16384 characters of JSON. Default: transformers' own."""

    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the steps over which the learning rate rises from 0. Default: 0.03."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Decoupled weight decay of AdamW. Default: 0.0."""

    optimizer: Literal["adamw", "adamw_fused", "adamw_8bit"] = "adamw"
    """adamw: torch's. adamw_fused: torch's in one kernel, rounded otherwise. adamw_8bit: of bitsandbytes, on GPUs and
    without a proximal step; its moments are not in checkpoints, so that a resumed arm begins them anew.
    Default: adamw."""

    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of AdamW's mean of gradients. Default: 0.9."""

    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of AdamW's mean of squared gradients. Default: 0.999."""

    adam_epsilon: Annotated[float, Field(gt=0, le=1)] = 1.0e-8
    """What AdamW adds to the root of the latter. Default: 1e-8."""

    max_grad_norm: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Gradient norm above which gradients are scaled down. Default: 1.0."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass to save memory. Default: false."""

    offload_optimizer: Literal["none", "cpu"] = "none"
    """Where DeepSpeed keeps optimizer state and master weights: cpu takes them out of GPU memory. Default: none."""

    offload_param: Literal["none", "cpu"] = "none"
    """Where DeepSpeed keeps each rank's part of the base: cpu takes it out of GPU memory. Default: none."""

    use_liger_kernel: bool = False
    """Replace layers of the model by Liger's Triton kernels, on GPUs. Default: false."""

    torch_compile: bool = False
    """Compile the model with torch.compile, on GPUs. Default: false."""

    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Arithmetic of the model; master weights are always fp32. fp16 scales the loss, and needs GPUs. Default: auto,
    which is bf16 on CUDA and fp32 on CPU."""

    packing: bool = True
    """Put the rows of a forward pass one after the other without padding, none of which sees another; does not change
    the result. Models that would mix them get padded batches. Default: true."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of the adapter's initial weights, the order of rows and dropout. Default: 0."""

    save_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    """Optimizer steps between checkpoints. Default: 200."""

    save_seconds: Annotated[int, Field(ge=1, le=604_800)] | None = None
    """Seconds since the last checkpoint at which one is saved, too, once the step is done. Default: null, never."""

    eval_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    """Optimizer steps between evaluations. Default: 200."""

    early_stopping: EarlyStoppingSpec | None = None
    """End training where evaluations do not get better; needs data.eval. Default: train all steps."""

    publish: Literal["last", "best"] | None = None
    """Which adapter is the arm's: that of the last step, or that of the evaluation with the lowest loss, which needs
    data.eval. Default: best with earlyStopping, else last."""

    hang_timeout: Annotated[int, Field(ge=5, le=86400)] = 300
    """Seconds without any forward or backward pass after which the arm counts as hung and is started again; more where
    ten times the longest of its last passes is more. Default: 300."""

    keep: KeepSpec = KeepSpec()
    """Checkpoints that stay. Default: {last: 2, best: 1}."""

    deepspeed: FreeForm = {}
    """DeepSpeed settings that override ours, as in DeepSpeed's configuration file; at most 16384 characters of JSON.
    Default: none."""

    @model_validator(mode="after")
    def _best_is_kept(self) -> Self:
        if self.publishes_best and self.keep.best == 0:
            raise ValueError(
                "keep.best 0 would let the checkpoint of the best evaluation go; use at least 1, or publish last"
            )
        return self

    @property
    def publishes_best(self) -> bool:
        """Whether the adapter of the best evaluation is published, and not that of the last step."""
        return self.publish == "best" or (self.publish is None and self.early_stopping is not None)

    @property
    def evaluations_decide(self) -> bool:
        """Whether the adapter depends on evaluations, and thus on their rows and steps."""
        return self.early_stopping is not None or self.publishes_best


class SftTrainingSpec(TrainingSpec):
    """Optimisation of the supervised arm."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2.0e-4
    """Peak learning rate of AdamW. Default: 2e-4."""

    neftune_noise_alpha: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Strength α of uniform noise on the embeddings of training rows (NEFTune, arXiv 2310.05914). Default: none."""

    assistant_only_loss: bool = True
    """Learn the assistant's turns of messages only, and not every token of a chat. Default: true."""

    assistant_mask: Literal["rendering", "generation"] = "rendering"
    """What tells the assistant's turns. rendering: what the chat template adds from prompt to answer, which works for
    templates that only append. generation: the marks `{% generation %}` in the template, as in TRL.
    Default: rendering."""

    completion_only_loss: bool = True
    """Learn the completions of prompt-completion rows only, and not their prompts. Default: true."""


class PreferenceTrainingSpec(TrainingSpec):
    """Optimisation of the alignment arm."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5.0e-6
    """Peak learning rate of AdamW. Default: 5e-6."""
