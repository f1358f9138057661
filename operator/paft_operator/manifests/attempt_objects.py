"""All objects of one attempt."""

from paft_api.spec import PaftJob
from paft_api.stages import ARMS
from paft_operator.manifests.report_access import report_role, report_role_binding, service_account
from paft_operator.manifests.report_config_map import report_config_map
from paft_operator.manifests.run_spec_config_map import run_spec_config_map
from paft_operator.manifests.service import arm_service
from paft_operator.manifests.settings import Manifest, ManifestSettings
from paft_operator.manifests.workload import uses_job_set, workload
from paft_operator.planner.actions import StartAttempt


def attempt_objects(job: PaftJob, action: StartAttempt, settings: ManifestSettings) -> tuple[Manifest, ...]:
    """Of an attempt that starts alone, in the order of creation: the workload last."""
    return (*supporting_objects(job, action, settings), workload(job, (action,), settings))


def supporting_objects(job: PaftJob, action: StartAttempt, settings: ManifestSettings) -> tuple[Manifest, ...]:
    """What an attempt's pods need: the RunSpec first, and a role before its binding, which is the last.

    All but an arm's Service are the attempt's own: created once and never changed. A JobSet makes its own Service.
    """
    needs_service = action.stage in ARMS and not uses_job_set(job, action.stage, settings)
    uses_own_account = job.spec.trainer.service_account_name is None
    return (
        run_spec_config_map(job, action),
        *((arm_service(job, action.stage),) if needs_service else ()),
        report_config_map(job, action),
        *((service_account(job, action),) if uses_own_account else ()),
        report_role(job, action),
        report_role_binding(job, action),
    )
