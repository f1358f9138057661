"""Where the learning-rate schedule is, whatever groups of parameters the optimizer has.

The schedule's own state has an entry for each group. That number depends on the world: DeepSpeed drops groups without
parameters, which the Trainer makes where nothing is kept from weight decay.
"""

from typing import Any


def schedule_state(scheduler: Any) -> dict[str, Any]:
    """Of a schedule that gives all groups the same learning rate. `scheduler`: the Trainer's."""
    state = scheduler.state_dict()
    learning_rate, *others = state["_last_lr"]
    assert all(other == learning_rate for other in others)
    return {"steps": state["last_epoch"], "learning_rate": learning_rate}


def restore_schedule(scheduler: Any, optimizer: Any, state: dict[str, Any]) -> None:
    """Have it and the optimizer go on from there."""
    steps, learning_rate = state["steps"], state["learning_rate"]
    own = scheduler.state_dict()
    rates = [learning_rate] * len(own["_last_lr"])
    scheduler.load_state_dict(own | {"last_epoch": steps, "_step_count": steps + 1, "_last_lr": rates})
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
