"""All trackers of one attempt: opened, told of numbers, and ended together."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from paft_api.layout import tracking_folder
from paft_api.run_spec import RunSpec
from paft_api.stage_pods import TRACKER_SECRET_KEYS
from paft_trainer.errors import StageError
from paft_trainer.stage_store import open_impatient_store
from paft_trainer.tracking.event_files import EventFiles
from paft_trainer.tracking.tracker import RunEnd, TrackedRun, Tracker
from paft_trainer.tracking.uploads import FolderUpload


class Trackers:
    """What a stage talks to. What a tracker raises is told once in the log, and then it is left out.

    `ended`: what they will be told when the attempt ends without an exception.
    """

    def __init__(self, trackers: Mapping[str, Tracker], upload: FolderUpload) -> None:
        self.ended = RunEnd.FINISHED
        self._trackers = dict(trackers)
        self._upload = upload

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers by name, such as `train/loss`."""
        self._each(lambda tracker: tracker.log(values, step))
        if self._upload.is_due():
            self._each(lambda tracker: tracker.flush())
            self._upload.begin()

    def end(self) -> None:
        """Waits until everything is written."""
        self._each(lambda tracker: tracker.end(self.ended))
        self._upload.finish()

    def _each(self, action: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                action(tracker)
            except Exception as error:  # noqa: BLE001 - whatever a tracker's library raises, the stage goes on
                _tell(name, error)
                del self._trackers[name]


@contextmanager
def open_trackers(run_spec: RunSpec, *, first_step: int, configuration: Mapping[str, Any]) -> Iterator[Trackers]:
    """The trackers of an attempt, to its end. Raises ConfigInvalid where one cannot be as the job says."""
    _take_secrets(run_spec)
    identity = run_spec.identity
    root = Path(run_spec.scratch_directory) / "tracking"
    places = {
        # All attempts at a stage write into one folder of event files, and are one run there.
        "tensorboard": f"tensorboard/{identity.stage}",
        "wandb": f"wandb/{identity.stage}",
        "mlflow": f"mlflow/{identity.stage}-{identity.attempt}",
    }

    def run(tracker: str) -> TrackedRun:
        return TrackedRun(
            identity=identity, folder=root / places[tracker], first_step=first_step, configuration=configuration
        )

    upload = FolderUpload(
        partial(open_impatient_store, run_spec),
        root,
        tracking_folder(run_spec.storage.artifacts_uri, identity.job_name, identity.job_uid),
    )
    trackers = Trackers(_opened(run_spec, run), upload)
    try:
        yield trackers
    except Exception:
        trackers.ended = RunEnd.FAILED
        raise
    except BaseException:
        trackers.ended = RunEnd.STOPPED
        raise
    finally:
        trackers.end()


def _opened(run_spec: RunSpec, run: Callable[[str], TrackedRun]) -> dict[str, Tracker]:
    openers: dict[str, Callable[[], Tracker]] = {"tensorboard": lambda: EventFiles(run("tensorboard"))}
    tracking = run_spec.tracking
    if tracking is not None and tracking.wandb is not None:
        from paft_trainer.tracking.wandb_run import WandbRun

        wandb = tracking.wandb
        openers["wandb"] = lambda: WandbRun(wandb, run("wandb"), api_key=os.environ.get("WANDB_API_KEY"))
    if tracking is not None and tracking.mlflow is not None:
        from paft_trainer.tracking.mlflow_run import MlflowRun

        mlflow = tracking.mlflow
        openers["mlflow"] = lambda: MlflowRun(mlflow, run("mlflow"))
    opened: dict[str, Tracker] = {}
    for name, opener in openers.items():
        try:
            opened[name] = opener()
        except StageError:
            raise
        except Exception as error:  # noqa: BLE001 - a server that cannot be reached stops no stage
            _tell(name, error)
    return opened


def _take_secrets(run_spec: RunSpec) -> None:
    """From mounted Secrets into the environment, where the libraries look."""
    for folder in run_spec.tracker_credentials:
        for name in TRACKER_SECRET_KEYS:
            file = Path(folder.directory) / name
            if file.exists():
                os.environ[name] = file.read_text(encoding="utf-8").strip()


def _tell(name: str, error: Exception) -> None:
    print(f"{name} is told nothing more: {type(error).__name__}: {error}", flush=True)
