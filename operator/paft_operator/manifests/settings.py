"""What an installation decides for all its PaftJobs."""

from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]
"""An object of Kubernetes as JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestSettings:
    """`trainer_image`: used where `spec.trainer.image` is unset."""

    trainer_image: str
