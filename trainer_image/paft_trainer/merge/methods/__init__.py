"""Merge methods by name, one file each."""

from collections.abc import Callable

from paft_api.spec.merge_methods import MergeMethod
from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.method import Method
from paft_trainer.merge.methods.breadcrumbs import Breadcrumbs
from paft_trainer.merge.methods.dare_linear import DareLinear
from paft_trainer.merge.methods.dare_ties import DareTies
from paft_trainer.merge.methods.della import Della
from paft_trainer.merge.methods.linear import Linear
from paft_trainer.merge.methods.model_stock import ModelStock
from paft_trainer.merge.methods.one_arm import OneArm
from paft_trainer.merge.methods.sce import Sce
from paft_trainer.merge.methods.slerp import Slerp
from paft_trainer.merge.methods.task_arithmetic import TaskArithmetic
from paft_trainer.merge.methods.ties import Ties

METHODS: dict[MergeMethod, Callable[[MergeOptions], Method]] = {
    MergeMethod.LINEAR: Linear,
    MergeMethod.TASK_ARITHMETIC: TaskArithmetic,
    MergeMethod.TIES: Ties,
    MergeMethod.DARE_LINEAR: DareLinear,
    MergeMethod.DARE_TIES: DareTies,
    MergeMethod.DELLA: Della,
    MergeMethod.BREADCRUMBS: Breadcrumbs,
    MergeMethod.SLERP: Slerp,
    MergeMethod.SCE: Sce,
    MergeMethod.MODEL_STOCK: ModelStock,
    MergeMethod.SFT_ONLY: lambda options: OneArm(options, arm=0),
    MergeMethod.PREFERENCE_ONLY: lambda options: OneArm(options, arm=1),
}


def method_of(options: MergeOptions) -> Method:
    """The method that the options name, with them."""
    return METHODS[options.method](options)
