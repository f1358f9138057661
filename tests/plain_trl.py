"""TRL's own DPOTrainer on the rows of an arm, in the arm's order: padded batches, and the reference in every step."""

import json
from pathlib import Path
from typing import Any

from tests.ranks import warm_context


def plain_dpo_losses(base: Path, pairs: Path, directory: Path, *, steps: int, dpo: dict[str, Any]) -> list[float]:
    """The loss of each step, with the settings of `tests.run_specs.arm_run_spec`, in one process."""
    result = directory / "plain-trl.json"
    process = warm_context().Process(target=_train, args=(str(base), str(pairs), str(result), steps, dpo))
    process.start()
    process.join(timeout=240)
    assert process.exitcode == 0
    losses: list[float] = json.loads(result.read_text())
    return losses


def _train(base: str, pairs: str, result: str, steps: int, dpo: dict[str, Any]) -> None:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    from paft_trainer.data.chat import encode_pair
    from paft_trainer.training.rank import quiet_libraries
    from paft_trainer.training.sampling import EpochSampler

    class Plain(DPOTrainer):
        def _prepare_dataset(self, dataset: Dataset, *args: Any) -> Dataset:
            return dataset

    class Losses(TrainerCallback):
        def on_log(self, *args: Any, logs: dict[str, float], **kwargs: Any) -> None:
            losses.append(logs["loss"]) if "loss" in logs else None

    quiet_libraries()
    torch.set_num_threads(1)
    losses: list[float] = []
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = [encode_pair(tokenizer, json.loads(line)) for line in Path(pairs).read_text().splitlines()]
    order = list(EpochSampler(rows=len(rows), global_batch_size=4, seed=0))
    arguments = DPOConfig(
        output_dir=str(Path(result).parent),
        per_device_train_batch_size=4,
        train_sampling_strategy="sequential",
        max_steps=steps,
        learning_rate=1e-2,
        lr_scheduler_type="cosine",
        max_length=64,
        beta=dpo["beta"],
        loss_type=[loss["type"] for loss in dpo["losses"]],
        loss_weights=[loss["weight"] for loss in dpo["losses"]],
        seed=0,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        optim="adamw_torch",
    )
    trainer = Plain(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        args=arguments,
        train_dataset=Dataset.from_list([rows[row] for row in order]),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=4, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
        callbacks=[Losses()],
    )
    trainer.train()
    Path(result).write_text(json.dumps(losses))
