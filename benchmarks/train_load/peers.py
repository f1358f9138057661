"""The same rows in the same order, trained without the product: TRL's trainers as they come, and a bare loop."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from benchmarks.train_load.recording import Recording
from datasets import Dataset
from peft import get_peft_model
from transformers import AutoModelForCausalLM, TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from paft_api.run_spec import RunSpec
from paft_api.stages import StageName
from paft_trainer.data.chat import IGNORED
from paft_trainer.data.encoded_rows import usable_rows
from paft_trainer.storage import open_store
from paft_trainer.storage.file_store import path_of
from paft_trainer.training.base_model import load_tokenizer, lora_configuration
from paft_trainer.training.batching.examples import ChatForm, PairForm
from paft_trainer.training.batching.layouts import padded
from paft_trainer.training.deepspeed_configuration import deepspeed_configuration
from paft_trainer.training.dpo_losses.pairs import PairLogProbabilities
from paft_trainer.training.dpo_losses.weighted_sum import dpo_losses
from paft_trainer.training.rank import arm_run
from paft_trainer.training.sampling import EpochSampler


def train_with_trl(run_spec: RunSpec, recording: Recording, *, partitioned: bool) -> None:
    """SFTTrainer or DPOTrainer with the arm's settings."""
    stage, training = run_spec.identity.stage, arm_run(run_spec).spec.training
    processes = arm_run(run_spec).world.processes
    settings: dict[str, Any] = {
        "output_dir": run_spec.scratch_directory,
        "per_device_train_batch_size": training.micro_batch_size,
        "gradient_accumulation_steps": training.global_batch_size // (training.micro_batch_size * processes),
        "train_sampling_strategy": "sequential",
        "max_steps": training.max_steps,
        "learning_rate": training.learning_rate,
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    if partitioned:
        overrides = {
            "train_micro_batch_size_per_gpu": training.micro_batch_size,
            "gradient_accumulation_steps": settings["gradient_accumulation_steps"],
        }
        settings["deepspeed"] = deepspeed_configuration(training, arm_run(run_spec).world) | overrides
    base = path_of(run_spec.base.uri)
    rows = list(_rows(run_spec, base))
    common: dict[str, Any] = {
        "train_dataset": Dataset.from_list(rows),
        "processing_class": load_tokenizer(base, None),
        "peft_config": lora_configuration(arm_run(run_spec).spec.lora),
        "callbacks": [_Steps(recording)],
    }
    if stage is StageName.SFT:
        options = SFTConfig(**settings, max_length=None, dataset_kwargs={"skip_prepare_dataset": True})
        trainer: Any = SFTTrainer(model=_model(base), args=options, **common)
    else:
        options = DPOConfig(**settings, max_length=training.max_length)
        trainer = _PlainDPOTrainer(model=_model(base), args=options, **common)
    collate = trainer.data_collator
    trainer.data_collator = lambda examples: _noted(recording, collate(examples))
    trainer.train()


def train_bare(run_spec: RunSpec, recording: Recording) -> None:
    """Padded batches, cross entropy or DPO of whole logits, AdamW, clipping; the reference is known beforehand."""
    training = arm_run(run_spec).spec.training
    base = path_of(run_spec.base.uri)
    rows = list(_rows(run_spec, base))
    torch.manual_seed(0)
    model = get_peft_model(_model(base), lora_configuration(arm_run(run_spec).spec.lora))
    optimizer = torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad], lr=training.learning_rate
    )
    batch, micro = training.global_batch_size, training.micro_batch_size
    passes = [_pass_of(run_spec, rows[first : first + micro]) for first in range(0, len(rows), micro)]
    references = [_reference(model, inputs) if run_spec.preference is not None else None for inputs in passes]
    model.train()
    for step in range(training.max_steps or 0):
        chosen = range(step * batch // micro, (step + 1) * batch // micro)
        learnt = sum(int((passes[index]["labels"][:, 1:] != IGNORED).sum()) for index in chosen)
        for index in chosen:
            recording.note_pass(passes[index])
            log_probabilities = _answers(model, passes[index])
            if run_spec.preference is not None:
                loss = _dpo_loss(run_spec, log_probabilities, references[index], passes[index]) / batch
            else:
                loss = -log_probabilities.sum() / learnt
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        recording.note_step()


class _PlainDPOTrainer(DPOTrainer):
    def _prepare_dataset(self, dataset: Dataset, *args: Any) -> Dataset:
        """The rows come as tokens."""
        return dataset


class _Steps(TrainerCallback):
    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def on_log(self, *args: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """The last thing of a step."""
        if "loss" in logs:
            self._recording.note_step()


def _rows(run_spec: RunSpec, base: Path) -> Iterator[dict[str, Any]]:
    """As many as the steps need, in the arm's order."""
    spec = arm_run(run_spec).spec
    training = spec.training
    tokenizer = load_tokenizer(base, None)
    encoded = usable_rows(open_store(run_spec.storage), spec.data.train, tokenizer, training.max_length)
    sampler = EpochSampler(rows=len(encoded), global_batch_size=training.global_batch_size, seed=training.seed)
    for row in list(sampler)[: training.global_batch_size * (training.max_steps or 0)]:
        yield encoded[row]


def _model(base: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def _noted(recording: Recording, inputs: dict[str, Any]) -> dict[str, Any]:
    recording.note_pass(inputs)
    return inputs


def _pass_of(run_spec: RunSpec, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    form = ChatForm() if run_spec.sft is not None else PairForm(arm_run(run_spec).spec.training.max_length)
    return padded(form.sequences(rows), pad_token_id=0)


def _answers(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Log-probability of the labelled tokens of each sequence."""
    logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[:, :-1]
    labels = inputs["labels"][:, 1:]
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return -losses.view_as(labels).sum(dim=1)


def _reference(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad(), model.disable_adapter():
        return _answers(model, inputs)


def _dpo_loss(run_spec: RunSpec, policy: torch.Tensor, reference: Any, inputs: dict[str, Any]) -> torch.Tensor:
    assert run_spec.preference is not None
    dpo = run_spec.preference.spec.resolved_dpo
    tokens = (inputs["labels"][:, 1:] != IGNORED).sum(dim=1).chunk(2)
    (chosen, rejected), (reference_chosen, reference_rejected) = policy.chunk(2), reference.chunk(2)
    pairs = PairLogProbabilities(
        chosen=chosen,
        rejected=rejected,
        reference_chosen=reference_chosen,
        reference_rejected=reference_rejected,
        chosen_tokens=tokens[0],
        rejected_tokens=tokens[1],
    )
    return dpo_losses(pairs, dpo, learnt_tokens=1.0).sum()
