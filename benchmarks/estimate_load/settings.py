"""The arms whose memory is measured: random Llamas, and rows that are all longer than maxLength."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tests.run_specs import arm_run_spec
from tests.tiny_models import byte_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from paft_api.run_spec import RunSpec
from paft_api.stages import StageName

ROWS = 16


@dataclass(frozen=True, kw_only=True)
class BaseSetting:
    """A random Llama in fp32 with heads of 64 dimensions; `key_heads`: of keys and of values."""

    hidden_size: int
    layers: int
    vocab_size: int
    key_heads: int = 1

    def build(self, folder: Path) -> Path:
        """Write it and its tokenizer, one token for each byte, unless that was done."""
        place = folder / f"llama-{self.hidden_size}-{self.layers}-{self.vocab_size}"
        if not place.is_dir():
            torch.manual_seed(0)
            tokenizer = byte_tokenizer()
            config = LlamaConfig(
                vocab_size=self.vocab_size,
                hidden_size=self.hidden_size,
                intermediate_size=self.hidden_size * 8 // 3 // 64 * 64,
                num_hidden_layers=self.layers,
                num_attention_heads=self.hidden_size // 64,
                num_key_value_heads=self.key_heads,
                head_dim=64,
                max_position_embeddings=4096,
                tie_word_embeddings=True,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
            LlamaForCausalLM(config).save_pretrained(place)
            tokenizer.save_pretrained(place)
        return place


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One arm that is measured."""

    base: BaseSetting
    stage: StageName
    ranks: int
    r: int
    max_length: int
    micro_batch_size: int
    checkpointing: bool

    @property
    def name(self) -> str:
        """In tables and folders."""
        checkpointing = "-checkpointing" if self.checkpointing else ""
        return (
            f"{self.stage}-h{self.base.hidden_size}x{self.base.layers}-v{self.base.vocab_size}-r{self.r}"
            f"-{self.micro_batch_size}x{self.max_length}-{self.ranks}{checkpointing}"
        )

    def run_spec(self, bases: Path, folder: Path) -> RunSpec:
        """An attempt of two steps: ZeRO-3 keeps weights whole from the second on. Saved at its end."""
        rows = write_rows(folder, self.stage, characters=self.max_length)
        training: dict[str, Any] = {
            "maxSteps": 2,
            "globalBatchSize": self.ranks * self.micro_batch_size,
            "microBatchSize": self.micro_batch_size,
            "maxLength": self.max_length,
            "gradientCheckpointing": self.checkpointing,
            "learningRate": 1e-4,
        }
        run_spec = arm_run_spec(
            self.stage.value,
            base=self.base.build(bases),
            data=rows,
            artifacts=folder / "artifacts",
            processes=self.ranks,
            training=training,
        )
        document = run_spec.to_document()
        document[self.stage.value]["world"]["threadsPerProcess"] = 1  # type: ignore[index]
        document[self.stage.value]["spec"]["lora"]["r"] = self.r  # type: ignore[index]
        return RunSpec.model_validate(document, strict=False)


def write_rows(folder: Path, stage: StageName, *, characters: int) -> Path:
    """Rows whose answers alone have so many tokens: every row is cut at maxLength."""
    letters = random.Random(0)
    path = folder / "rows.jsonl"

    def said() -> dict[str, str]:
        return {"role": "assistant", "content": "".join(letters.choices("abcdefgh ", k=characters))}

    question = {"role": "user", "content": "Tell me."}
    with path.open("w", encoding="utf-8") as file:
        for _ in range(ROWS):
            if stage is StageName.SFT:
                row: dict[str, Any] = {"messages": [question, said()]}
            else:
                row = {"prompt": [question], "chosen": [said()], "rejected": [said()]}
            file.write(json.dumps(row) + "\n")
    return path


_SMALL = BaseSetting(hidden_size=256, layers=4, vocab_size=4096)
_MIDDLE = BaseSetting(hidden_size=384, layers=8, vocab_size=16384)
_LARGE = BaseSetting(hidden_size=576, layers=12, vocab_size=49152, key_heads=3)
_WORDY = BaseSetting(hidden_size=256, layers=6, vocab_size=65536)


def _configuration(
    base: BaseSetting,
    stage: StageName,
    *,
    ranks: int = 1,
    r: int = 16,
    length: int = 512,
    micro: int = 2,
    checkpointing: bool = False,
) -> Configuration:
    return Configuration(
        base=base,
        stage=stage,
        ranks=ranks,
        r=r,
        max_length=length,
        micro_batch_size=micro,
        checkpointing=checkpointing,
    )


CONFIGURATIONS = (
    _configuration(_SMALL, StageName.SFT),
    _configuration(_SMALL, StageName.SFT, length=1024, micro=4),
    _configuration(_SMALL, StageName.SFT, length=1024, micro=4, checkpointing=True),
    _configuration(_SMALL, StageName.PREFERENCE, ranks=2, length=1024),
    _configuration(_MIDDLE, StageName.SFT, length=1024),
    _configuration(_MIDDLE, StageName.SFT, ranks=2, length=1024, micro=1, r=64),
    _configuration(_MIDDLE, StageName.PREFERENCE, length=512, r=8),
    _configuration(_MIDDLE, StageName.PREFERENCE, ranks=2, length=512, micro=1, checkpointing=True),
    _configuration(_MIDDLE, StageName.SFT, length=2048, micro=1, checkpointing=True),
    _configuration(_LARGE, StageName.SFT, length=512, micro=1),
    _configuration(_LARGE, StageName.SFT, ranks=2, length=512, micro=1, r=64),
    _configuration(_LARGE, StageName.SFT, ranks=2, length=512, checkpointing=True),
    _configuration(_LARGE, StageName.PREFERENCE, length=256, r=128),
    _configuration(_LARGE, StageName.PREFERENCE, ranks=2, length=256, micro=1),
    _configuration(_WORDY, StageName.SFT, length=512),
    _configuration(_WORDY, StageName.PREFERENCE, ranks=2, length=256, checkpointing=True),
)
"""What is measured; the first with --quick, too."""
