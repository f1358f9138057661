"""A new generation of the spec: what is known is judged again, numbers of attempts go on."""

from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_api.status import PaftJobStatus, StageState, StageStatus


def stages_at_start(job: PaftJob, previous: PaftJobStatus) -> dict[StageName, StageStatus]:
    """Stage entries to plan from: the previous ones; for a new generation all but running and stopped ones begun anew.

    Finished arms are pending again until prepare, which must run for each generation, finds their artifacts by content.
    """
    stages = {name: previous.stage(name) for name in StageName}
    if previous.observed_generation == job.metadata.generation:
        return stages
    return {name: _begun_anew(entry) for name, entry in stages.items()}


def _begun_anew(entry: StageStatus) -> StageStatus:
    if entry.state in (StageState.RUNNING, StageState.STOPPED):
        return entry.model_copy(update={"failures": 0})
    return StageStatus(name=entry.name, attempt=entry.attempt)
