"""spec.tracking: experiment trackers beside the TensorBoard event files, which every stage writes."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from paft_api.model import DnsLabel, Model
from paft_api.spec.storage import Endpoint

TrackerName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class TrackerSecret(Model):
    """A Secret in the PaftJob's own namespace."""

    name: DnsLabel
    """Name of the Secret; of its keys WANDB_API_KEY is used, or MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_USERNAME and
    MLFLOW_TRACKING_PASSWORD."""


class WandbSpec(Model):
    """Weights & Biases: a run for each arm and for the merge, in one group."""

    project: TrackerName = "paft"
    """Project of the runs. Default: paft."""

    entity: TrackerName | None = None
    """User or team that owns the project. Default: that of the API key."""

    mode: Literal["online", "offline"] = "online"
    """online: send while a stage runs. offline: write a folder that `wandb sync` sends later; it goes below
    storage.artifactsUri. Default: online."""

    base_url: Endpoint | None = None
    """Address of a server of one's own. Default: that of Weights & Biases."""

    tags: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=64)], ...], Field(max_length=16)
    ] = ()
    """Tags of the runs. Default: none."""

    secret_ref: TrackerSecret | None = None
    """The API key in a cluster. Default: none, which works offline only; `paft run` takes WANDB_API_KEY from its own
    environment."""


class MlflowSpec(Model):
    """MLflow: a run for each arm and for the merge, with one tag in common."""

    tracking_uri: Endpoint | None = None
    """Address of a tracking server. Default: none; a file store is written, which goes below storage.artifactsUri."""

    experiment: TrackerName = "paft"
    """Experiment of the runs; made where it is not there. Default: paft."""

    secret_ref: TrackerSecret | None = None
    """Token, or user and password, in a cluster. Default: none; `paft run` takes MLflow's own variables from its
    environment."""


class TrackingSpec(Model):
    """Trackers that stages tell of their progress, besides event files. None of them changes or stops a stage."""

    wandb: WandbSpec | None = None
    """Weights & Biases. Default: none."""

    mlflow: MlflowSpec | None = None
    """MLflow. Default: none."""

    @property
    def secret_names(self) -> tuple[str, ...]:
        """The Secrets that it needs, each once."""
        references = [tracker.secret_ref for tracker in (self.wandb, self.mlflow) if tracker is not None]
        return tuple(dict.fromkeys(reference.name for reference in references if reference is not None))
