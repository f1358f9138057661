"""TRL's own trainers of pairs on an arm's rows, in the arm's order: padded batches, DPO's reference in every step."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.ranks import warm_context

Logs = list[dict[str, float]]
"""What was logged of each step."""


def plain_dpo_logs(base: Path, pairs: Path, directory: Path, *, steps: int, options: dict[str, Any]) -> Logs:
    """By DPOTrainer with these options, and the settings of `tests.run_specs.arm_run_spec`, in one process."""
    return _run(_train_dpo, base, pairs, directory, steps, options)


def plain_orpo_logs(base: Path, pairs: Path, directory: Path, *, steps: int, options: dict[str, Any]) -> Logs:
    """By the ORPOTrainer of trl.experimental, in the same way."""
    return _run(_train_orpo, base, pairs, directory, steps, options)


def _run(
    train: Callable[..., None], base: Path, pairs: Path, directory: Path, steps: int, options: dict[str, Any]
) -> Logs:
    result = directory / "plain-trl.json"
    process = warm_context().Process(target=train, args=(str(base), str(pairs), str(result), steps, options))
    process.start()
    process.join(timeout=240)
    assert process.exitcode == 0
    logs: Logs = json.loads(result.read_text())
    return logs


def _train_dpo(base: str, pairs: str, result: str, steps: int, options: dict[str, Any]) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    class Plain(DPOTrainer):
        def _prepare_dataset(self, dataset: Dataset, *args: Any) -> Dataset:
            return dataset

    _train(Plain, DPOConfig, base, pairs, result, steps, options)


def _train_orpo(base: str, pairs: str, result: str, steps: int, options: dict[str, Any]) -> None:
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    class Plain(ORPOTrainer):
        def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
            prompt = feature["prompt_ids"]
            row: dict[str, Any] = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
            for answer in ("chosen", "rejected"):
                ids = [*prompt, *feature[f"{answer}_ids"]]
                row[f"{answer}_input_ids"] = ids
                row[f"{answer}_attention_mask"] = [1] * len(ids)
                row[f"{answer}_labels"] = [*[-100] * len(prompt), *feature[f"{answer}_ids"]]
            return row

    # It looks for texts before it comes to the tokens.
    texts = {"prompt": "", "chosen": "", "rejected": ""}
    _train(Plain, ORPOConfig, base, pairs, result, steps, {"remove_unused_columns": False} | options, columns=texts)


def _train(
    trainer_class: Any,
    config_class: Any,
    base: str,
    pairs: str,
    result: str,
    steps: int,
    options: dict[str, Any],
    *,
    columns: dict[str, str] | None = None,
) -> None:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

    from paft_trainer.data.chat import encode_pair
    from paft_trainer.training.rank import quiet_libraries
    from paft_trainer.training.sampling import EpochSampler

    class Collected(TrainerCallback):
        def on_log(self, *args: Any, logs: dict[str, float], **kwargs: Any) -> None:
            collected.append(logs) if "loss" in logs else None

    quiet_libraries()
    torch.set_num_threads(1)
    collected: Logs = []
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = [encode_pair(tokenizer, json.loads(line)) for line in Path(pairs).read_text().splitlines()]
    order = list(EpochSampler(rows=len(rows), global_batch_size=4, seed=0))
    arguments = config_class(
        output_dir=str(Path(result).parent),
        per_device_train_batch_size=4,
        train_sampling_strategy="sequential",
        max_steps=steps,
        learning_rate=1e-2,
        lr_scheduler_type="cosine",
        max_length=64,
        seed=0,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        optim="adamw_torch",
        **options,
    )
    trainer = trainer_class(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        args=arguments,
        train_dataset=Dataset.from_list([rows[row] | (columns or {}) for row in order]),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=4, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
        callbacks=[Collected()],
    )
    trainer.train()
    Path(result).write_text(json.dumps(collected))
