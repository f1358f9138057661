"""Loading as transformers does it, for checkpoints that it does not take as they are."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from paft_trainer.errors import ArtifactMismatch
from paft_trainer.foreign_documents import shown


def load_with_transformers(folder: Path, dtype: torch.dtype, base_uri: str) -> Any:
    """The model from a whole local copy, partitioned where the Trainer's arguments say so. Collective.

    Raises ArtifactMismatch where tensors are missing, which transformers would only warn of and fill at random.
    """
    model, told = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, local_files_only=True, trust_remote_code=False, output_loading_info=True
    )
    missing = sorted(told["missing_keys"])
    if missing:
        raise ArtifactMismatch(
            f"{base_uri} lacks {shown(missing[0])} of {type(model).__name__}, and {len(missing) - 1} more tensors",
            remedy="Save the model again with save_pretrained, and upload all of it to base.uri.",
        )
    return model
