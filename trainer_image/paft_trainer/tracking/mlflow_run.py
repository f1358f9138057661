"""MLflow, by its client alone: no state in the process besides the run's."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from paft_api.spec.tracking import MlflowSpec
from paft_trainer.tracking.tracker import RunEnd, TrackedRun

SEND_SECONDS = 10.0
"""Metrics are sent together, at most so often."""
_MOST_METRICS = 1000
_MOST_PARAMS = 100
_LONGEST_PARAM = 6000
"""MLflow's limits of one call, and of one value in characters."""
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_RUN_TAG, _GROUP_TAG = "paft.run", "paft.group"
_STATUS = {RunEnd.FINISHED: "FINISHED", RunEnd.STOPPED: "KILLED", RunEnd.FAILED: "FAILED"}


class MlflowRun:
    """A run on a server, or in a file store in the run's folder. Raises mlflow.exceptions.MlflowException."""

    def __init__(self, spec: MlflowSpec, run: TrackedRun) -> None:
        # A store of files is what an offline run is; MLflow asks to be told that it is meant.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=spec.tracking_uri or run.folder.as_uri())
        self._is_offline = spec.tracking_uri is None
        experiment = self._client.get_experiment_by_name(spec.experiment)
        self._experiment = (
            experiment.experiment_id if experiment is not None else self._client.create_experiment(spec.experiment)
        )
        self._run = self._found(run) or self._created(run)
        self._waiting: list[Any] = []
        self._sent_at = time.monotonic()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Sent with others."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        # `@` and the like are not allowed in names; those of trainers have none.
        self._waiting += [Metric(name, value, now, step) for name, value in values.items()]
        if time.monotonic() - self._sent_at >= SEND_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what is waiting."""
        self._sent_at = time.monotonic()
        waiting, self._waiting = self._waiting, []
        for metrics in _batches(waiting, _MOST_METRICS):
            self._client.log_batch(self._run, metrics=metrics)

    def end(self, end: RunEnd) -> None:
        """Send what is waiting, and how it ended."""
        self.flush()
        self._client.set_terminated(self._run, status=_STATUS[end])

    def _found(self, run: TrackedRun) -> str | None:
        """The run of an earlier attempt."""
        runs = self._client.search_runs(
            [self._experiment], filter_string=f"tags.`{_RUN_TAG}` = '{_key(run)}'", max_results=1
        )
        if not runs:
            return None
        identifier = str(runs[0].info.run_id)
        self._client.update_run(identifier, status="RUNNING")
        return identifier

    def _created(self, run: TrackedRun) -> str:
        from mlflow.entities import Param

        tags = {_RUN_TAG: _key(run), _GROUP_TAG: run.group, "paft.stage": run.identity.stage.value}
        created = self._client.create_run(self._experiment, tags=tags, run_name=run.name)
        identifier = str(created.info.run_id)
        params = [Param(name, value[:_LONGEST_PARAM]) for name, value in flattened(run.configuration)]
        for batch in _batches(params, _MOST_PARAMS):
            self._client.log_batch(identifier, params=batch)
        if self._is_offline:
            # A store without a file in the run's folder of artifacts loses that folder on its way to an object store,
            # and is not read then.
            self._client.log_dict(identifier, dict(run.configuration), "configuration.json")
        return identifier


def flattened(document: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The values of a document by their paths: `training.learningRate`. Lists are values, and so are maps whose keys
    are no names, such as patterns: MLflow takes none of these in the name of a parameter."""
    if isinstance(document, Mapping) and all(_NAME.fullmatch(name) for name in document):
        for name, value in document.items():
            yield from flattened(value, f"{prefix}.{name}".lstrip("."))
    else:
        yield prefix, str(document)


def _key(run: TrackedRun) -> str:
    return f"{run.identity.job_uid}-{run.identity.stage}"


def _batches(entries: list[Any], size: int) -> Iterator[list[Any]]:
    remaining = iter(entries)
    while batch := list(islice(remaining, size)):
        yield batch
