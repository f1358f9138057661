"""Weights & Biases."""

from collections.abc import Mapping

from paft_api.spec.tracking import WandbSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.tracking.tracker import RunEnd, TrackedRun

STEP = "step"
"""What all numbers are drawn over. W&B's own step never goes back, as training does after a restart."""


class WandbRun:
    """A run, or its part in a folder. `api_key`: None where it is only written down, or where the environment has it.

    Raises ConfigInvalid for a key that is not taken, and wandb.errors.Error where the server cannot be reached.
    """

    def __init__(self, spec: WandbSpec, run: TrackedRun, *, api_key: str | None) -> None:
        import wandb

        run.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._run = wandb.init(
                project=spec.project,
                entity=spec.entity,
                group=run.group,
                job_type=run.identity.stage.value,
                name=run.name,
                id=f"{run.identity.job_uid}-{run.identity.stage}",
                # Of a folder nobody knows whether there is more of its run elsewhere.
                resume="allow" if spec.mode == "online" else None,
                mode=spec.mode,
                dir=str(run.folder),
                tags=list(spec.tags),
                config=dict(run.configuration),
                settings=wandb.Settings(
                    api_key=api_key,
                    console="off",
                    disable_git=True,
                    save_code=False,
                    silent=True,
                    **({} if spec.base_url is None else {"base_url": spec.base_url}),
                ),
            )
        except wandb.errors.AuthenticationError as error:
            raise ConfigInvalid(
                f"Weights & Biases does not take the API key: {error}",
                remedy="Correct WANDB_API_KEY, or set spec.tracking.wandb.mode to offline.",
            ) from error
        self._run.define_metric("*", step_metric=STEP)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Handed over to W&B's own process."""
        self._run.log({**values, STEP: step})

    def flush(self) -> None:
        """Nothing: that process writes as it goes."""

    def end(self, end: RunEnd) -> None:
        """Wait until all is written or sent."""
        self._run.finish(exit_code=1 if end is RunEnd.FAILED else 0)
