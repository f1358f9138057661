"""What an installation decides for all its PaftJobs."""

from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]
"""An object of Kubernetes as JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestSettings:
    """`trainer_image`: used where `spec.trainer.image` is unset. `has_job_sets`: whether JobSet is installed."""

    trainer_image: str
    has_job_sets: bool = False
