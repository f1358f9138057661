"""Where the learning-rate schedule is, whatever groups of parameters the optimizer has.

The schedule's own state has an entry for each group. That number depends on the world: DeepSpeed drops groups without
parameters, which the Trainer makes where nothing is kept from weight decay.
"""

from typing import Any


def schedule_state(scheduler: Any) -> dict[str, Any]:
    """Of a schedule. Where groups differ in their peaks, with a learning rate for each peak. `scheduler`: the
    Trainer's."""
    state = scheduler.state_dict()
    rates = dict(zip(state["base_lrs"], state["_last_lr"], strict=True))
    told = {"steps": state["last_epoch"], "learning_rate": state["_last_lr"][0]}
    return told if len(rates) == 1 else told | {"by_peak": [list(pair) for pair in rates.items()]}


def restore_schedule(scheduler: Any, optimizer: Any, state: dict[str, Any]) -> None:
    """Have it and the optimizer go on from there."""
    steps, own = state["steps"], scheduler.state_dict()
    by_peak = dict(state.get("by_peak", ()))
    rates = [by_peak.get(peak, state["learning_rate"]) for peak in own["base_lrs"]]
    scheduler.load_state_dict(own | {"last_epoch": steps, "_step_count": steps + 1, "_last_lr": rates})
    for group in optimizer.param_groups:
        group["lr"] = by_peak.get(group["initial_lr"], state["learning_rate"])
