"""What reference log-probabilities depend on, and nothing else: jobs that agree in it share them.

Data, chat template, tokenizer, lengths and the way of cutting enter as what they come to: the tokens.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

from paft_api.digests import digest_of
from paft_trainer.data.chat import IGNORED
from paft_trainer.training.batching.layouts import TokenSequence

FORMAT_VERSION = 1
"""Raised when the same inputs would give other values."""


def reference_digest(*, base_digest: str, precision: str, sequences: Iterable[TokenSequence]) -> str:
    """Identity of the log-probabilities of these answers under the base.

    `precision`: bf16 or fp32, what the base computes in. `sequences`: prompts with answers, as they are computed.
    """
    return digest_of(
        {
            "format": FORMAT_VERSION,
            "base": base_digest,
            "precision": precision,
            "tokens": _tokens_sha256(sequences),
        }
    )


def _tokens_sha256(sequences: Iterable[TokenSequence]) -> str:
    digest = hashlib.sha256()
    for sequence in sequences:
        labelled = sum(label != IGNORED for label in sequence.labels)
        digest.update(np.asarray([len(sequence.ids), labelled, *sequence.ids], dtype="<i8").tobytes())
    return digest.hexdigest()
