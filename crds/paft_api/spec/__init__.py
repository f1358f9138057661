"""What a user asks for: one file per block of a PaftJob's `spec`."""

from paft_api.spec.base import BaseSpec
from paft_api.spec.base_cache import BaseCacheSpec, ClaimCache, EmptyDirCache, HostPathCache
from paft_api.spec.data import DataFormat, DataSource, DataSpec, FileType
from paft_api.spec.job import Metadata, PaftJob, PaftJobSpec
from paft_api.spec.lora import LoraSpec
from paft_api.spec.merge import ArmWeights, MergeCandidate, MergeMethod, MergeOptions, MergeOutput, MergeSpec
from paft_api.spec.merge_weights import LayerRange, WeightAnchor
from paft_api.spec.preference import DpoLoss, DpoSpec, OrpoSpec, PreferenceSpec
from paft_api.spec.resources import ArmResources, StageResources
from paft_api.spec.run_policy import RunPolicy
from paft_api.spec.scheduling import SchedulingSpec
from paft_api.spec.sft import L1Spec, SftSpec
from paft_api.spec.storage import SecretReference, SourceAccess, StorageSpec
from paft_api.spec.tracking import MlflowSpec, TrackingSpec, WandbSpec
from paft_api.spec.trainer import TrainerSpec
from paft_api.spec.training import KeepSpec, TrainingSpec

__all__ = [
    "ArmResources",
    "ArmWeights",
    "BaseCacheSpec",
    "BaseSpec",
    "ClaimCache",
    "DataFormat",
    "DataSource",
    "DataSpec",
    "DpoLoss",
    "DpoSpec",
    "EmptyDirCache",
    "FileType",
    "HostPathCache",
    "KeepSpec",
    "L1Spec",
    "LayerRange",
    "LoraSpec",
    "MergeCandidate",
    "MergeMethod",
    "MergeOptions",
    "MergeOutput",
    "MergeSpec",
    "Metadata",
    "MlflowSpec",
    "OrpoSpec",
    "PaftJob",
    "PaftJobSpec",
    "PreferenceSpec",
    "RunPolicy",
    "SchedulingSpec",
    "SecretReference",
    "SftSpec",
    "SourceAccess",
    "StageResources",
    "StorageSpec",
    "TrackingSpec",
    "TrainerSpec",
    "TrainingSpec",
    "WandbSpec",
    "WeightAnchor",
]
