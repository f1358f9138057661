"""Trackers: whether their libraries are there, and a key for those that are told over the network."""

import importlib.util
import os

from paft_api.run_spec import RunSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.prepare.findings import Findings


def check_tracking(findings: Findings, run_spec: RunSpec) -> None:
    """A server is not asked: that it cannot be reached stops no stage."""
    tracking = run_spec.tracking
    if tracking is None:
        return
    if tracking.wandb is not None:
        with findings.of("spec.tracking.wandb"):
            _require_library("wandb")
        with findings.of("spec.tracking.wandb.mode"):
            wandb = tracking.wandb
            if wandb.mode == "online" and wandb.secret_ref is None and not os.environ.get("WANDB_API_KEY"):
                raise ConfigInvalid(
                    "wandb.mode online needs an API key, and there is no secretRef and no WANDB_API_KEY",
                    remedy="Set secretRef, for `paft run` WANDB_API_KEY, or mode to offline.",
                )
    if tracking.mlflow is not None:
        with findings.of("spec.tracking.mlflow"):
            _require_library("mlflow")


def _require_library(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        raise ConfigInvalid(
            f"tracking.{name} needs the Python package {name}, which is not installed",
            remedy=f"Use a trainer image with it, or remove spec.tracking.{name}. On one machine: pip install "
            f"'paft[{name}]'.",
        )
