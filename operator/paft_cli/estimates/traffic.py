"""Bytes between object storage and the stages."""

from dataclasses import dataclass

from paft_api.spec.job import PaftJobSpec
from paft_cli.estimates.arm_setting import ArmSetting
from paft_cli.estimates.base_shape import BaseShape
from paft_cli.estimates.data_size import DataSize
from paft_cli.estimates.work import ArmWork

_FP32 = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """Bytes that one stage reads or writes of one kind. `read`, `written`: from and to object storage."""

    stage: str
    what: str
    read: int = 0
    written: int = 0


def prepare_flows(base: BaseShape, sizes: dict[str, DataSize]) -> list[Flow]:
    """The base is read once, to learn what is in it, unless that is known already; data once to check and once to hash
    (docs/concepts/base-index.md)."""
    return [
        Flow(stage="prepare", what="base, unless it is indexed already", read=base.stored_bytes),
        *(
            Flow(stage="prepare", what=f"rows of {arm}", read=2 * size.stored_bytes)
            for arm, size in sizes.items()
            if size.stored_bytes is not None
        ),
    ]


def arm_flows(stage: str, setting: ArmSetting, data: DataSize, work: ArmWork) -> list[Flow]:
    """All processes together read the base once, each its own part (docs/reference/base-loading.md); each process
    reads all rows. A checkpoint has the weights and both moments in fp32, and is read only where an arm resumes."""
    factor = setting.adapter_parameters * _FP32
    saves = -(-work.steps // setting.training.save_steps)
    flows = [Flow(stage=stage, what="base", read=setting.base.stored_bytes)]
    if data.stored_bytes is not None:
        flows.append(Flow(stage=stage, what="rows", read=data.stored_bytes * setting.processes))
    return [
        *flows,
        Flow(stage=stage, what=f"{saves} checkpoints", written=saves * 3 * factor),
        Flow(stage=stage, what="adapter", written=factor, read=factor),
    ]


def merge_flows(spec: PaftJobSpec, base: BaseShape, settings: dict[str, ArmSetting]) -> list[Flow]:
    """One pass over the base for the merge and all its candidates; each writes as many bytes as the base has."""
    adapters = sum(setting.adapter_parameters for setting in settings.values()) * _FP32
    flows = [Flow(stage="merge", what="adapters", read=adapters)]
    match spec.merge.output.form:
        case "Full":
            count = 1 + len(spec.merge.candidates)
            what = "merged checkpoint" if count == 1 else f"{count} merged checkpoints"
            flows.append(Flow(stage="merge", what="base", read=base.stored_bytes))
            flows.append(Flow(stage="merge", what=what, written=count * base.stored_bytes))
        case "Adapter":
            flows.append(Flow(stage="merge", what="merged adapter", written=_merged_adapter(spec, settings, adapters)))
        case "Recipe":
            pass
    return flows


def _merged_adapter(spec: PaftJobSpec, settings: dict[str, ArmSetting], adapters: int) -> int:
    """Factors of the rank that is asked for, at most that of both adapters together."""
    ranks = sum(setting.lora.r for setting in settings.values())
    rank = spec.merge.output.rank
    return adapters if rank is None else round(adapters * min(rank, ranks) / ranks)
