"""NEFTune (arXiv 2310.05914): uniform noise on the embeddings of rows that are trained on.

The noise of a row of L tokens and d channels is uniform in ±α/√(L·d). It is a function of the seed, the optimizer step
and the row's tokens alone, so that it is the same in any layout, on any number of processes and after a restart; rows
of equal tokens in one step get equal noise. transformers' own draws from the process's generator, and takes the length
of a whole batch for L.
"""

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import torch


class EmbeddingNoise:
    """Adds noise to what a model's input embedding gives, while the model trains. `alpha`: the paper's α."""

    def __init__(self, model: Any, *, alpha: float, seed: int) -> None:
        self._alpha = alpha
        self._seed = seed
        self._rows: list[tuple[tuple[int, int, int], int]] = []
        model.get_input_embeddings().register_forward_hook(self._add)

    def begin_pass(self, inputs: Mapping[str, Any], step: int) -> None:
        """Before a forward pass of the optimizer step after `step`. `inputs`: of either layout."""
        self._rows = [(place, _seed_of(self._seed, step, tokens)) for place, tokens in _rows_of(inputs)]

    def _add(self, embedding: torch.nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor | None:
        if not embedding.training:
            return None
        noise = torch.zeros_like(output)
        for (line, start, stop), seed in self._rows:
            part = row_noise(stop - start, output.shape[-1], alpha=self._alpha, seed=seed, device=output.device)
            noise[line, start:stop] = part.to(output.dtype)
        return output + noise


def row_noise(length: int, channels: int, *, alpha: float, seed: int, device: torch.device) -> torch.Tensor:
    """Uniform in ±α/√(length·channels), fp32, shape (length, channels)."""
    generator = torch.Generator(device=device).manual_seed(seed)
    uniform = torch.rand(length, channels, generator=generator, device=device)
    return (uniform * 2 - 1) * (alpha / (length * channels) ** 0.5)


def _rows_of(inputs: Mapping[str, Any]) -> list[tuple[tuple[int, int, int], torch.Tensor]]:
    """For each row the line of `input_ids` that it is in, where it begins and ends there, and its tokens."""
    ids = inputs["input_ids"]
    if "row_lengths" in inputs:
        parts = ids[0].split(list(inputs["row_lengths"]))
        ends = torch.tensor([len(part) for part in parts]).cumsum(0).tolist()
        return [((0, end - len(part), end), part) for part, end in zip(parts, ends, strict=True)]
    lengths = inputs["attention_mask"].sum(dim=1).tolist()
    return [((line, 0, length), ids[line, :length]) for line, length in enumerate(lengths)]


def _seed_of(seed: int, step: int, tokens: torch.Tensor) -> int:
    text = struct.pack("<qq", seed, step) + tokens.cpu().numpy().tobytes()
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "little")
