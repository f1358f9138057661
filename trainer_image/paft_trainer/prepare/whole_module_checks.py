"""Modules that one arm trains whole: what the merge can take of both arms, told before either trains."""

from paft_api.adapter_modules import adapted_modules, saved_modules
from paft_api.run_spec import PrepareRun
from paft_api.spec.lora import LoraSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.merge.saved_tensors import acting_arms
from paft_trainer.training.adapter_targets import ADAPTER_CHECKS, BaseModules


def check_whole_modules(run: PrepareRun, modules: BaseModules) -> None:
    """Raises ConfigInvalid for what the merge would refuse. Adapters that do not suit the base are told apart."""
    specs = {"sft": run.sft.lora, "preference": run.preference.lora}
    if not all(_suits(modules, lora) for lora in specs.values()):
        return
    saved = {arm: saved_modules(modules.whole, lora) for arm, lora in specs.items()}
    for arm, other in (("sft", "preference"), ("preference", "sft")):
        adapted = adapted_modules(modules.linear, specs[other])
        both = next((name for name in saved[arm] if name in adapted), None)
        if both is not None:
            raise ConfigInvalid(
                f"modulesToSave of {arm} trains {both} whole, which {other} adapts: its delta would belong to another "
                "weight",
                remedy=f"Add {both} to excludeModules of {other}, or take it out of modulesToSave.",
            )
    common = next((name for name in saved["sft"] if name in saved["preference"]), None)
    merges = (run.merge, *run.merge.candidates)
    method = next((one.method for one in merges if len(acting_arms(one.method)) > 1), None)
    if common is not None and method is not None:
        raise ConfigInvalid(
            f"modulesToSave: both arms train {common} whole, and the merge {method} takes it from one alone",
            remedy="Take it out of one of the arms, or merge with sft_only or preference_only.",
        )


def _suits(modules: BaseModules, lora: LoraSpec) -> bool:
    try:
        for check in ADAPTER_CHECKS.values():
            check(modules, lora)
    except ConfigInvalid:
        return False
    return True
