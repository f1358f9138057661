"""`python -m benchmarks.merge_load.peft_merge FOLDER OUTPUT COMBINATION_TYPE`: merging as PEFT's guide does.

https://huggingface.co/docs/peft/developer_guides/model_merging. PEFT merges A with A and B with B.
"""

import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def merge(folder: Path, output: Path, combination_type: str, density: float = 0.5) -> None:
    """`folder` holds base, sft and preference. `linear` adds up in PEFT, so that weights of ½ make it a mean."""
    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.bfloat16)
    adapted = PeftModel.from_pretrained(model, folder / "sft", adapter_name="sft")
    adapted.load_adapter(folder / "preference", adapter_name="preference")
    weight, options = (1.0, {"density": density}) if combination_type == "ties" else (0.5, {})
    adapted.add_weighted_adapter(
        ["sft", "preference"], [weight, weight], "merged", combination_type=combination_type, **options
    )
    adapted.set_adapter("merged")
    adapted.merge_and_unload().save_pretrained(output)


if __name__ == "__main__":
    merge(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
