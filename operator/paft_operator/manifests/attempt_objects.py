"""All objects of one attempt."""

from paft_api.spec import PaftJob
from paft_api.stages import ARMS
from paft_operator.manifests.arm_job import arm_job
from paft_operator.manifests.report_access import report_role, report_role_binding, service_account
from paft_operator.manifests.report_config_map import report_config_map
from paft_operator.manifests.run_spec_config_map import run_spec_config_map
from paft_operator.manifests.service import arm_service
from paft_operator.manifests.settings import Manifest, ManifestSettings
from paft_operator.manifests.single_pod_job import single_pod_job
from paft_operator.planner.actions import StartAttempt


def attempt_objects(job: PaftJob, action: StartAttempt, settings: ManifestSettings) -> tuple[Manifest, ...]:
    """In the order of creation. The Job comes last: where it exists, so does all that its pods need.

    The Job is to be created once and never changed; everything else may be applied again.
    """
    is_arm = action.stage in ARMS
    uses_own_account = job.spec.trainer.service_account_name is None
    return (
        *((arm_service(job, action.stage),) if is_arm else ()),
        run_spec_config_map(job, action),
        report_config_map(job, action),
        *((service_account(job, action),) if uses_own_account else ()),
        report_role(job, action),
        report_role_binding(job, action),
        arm_job(job, action, settings) if is_arm else single_pod_job(job, action, settings),
    )
