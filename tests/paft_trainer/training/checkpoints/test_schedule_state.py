"""A schedule goes on where it was, with as many groups of parameters as the optimizer has there."""

import pytest
import torch
from transformers import get_scheduler

from paft_trainer.training.checkpoints.schedule_state import restore_schedule, schedule_state


def schedule(groups: int) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    parameters = [{"params": [torch.zeros(1, requires_grad=True)]} for _ in range(groups)]
    optimizer = torch.optim.AdamW(parameters, lr=0.1)
    return optimizer, get_scheduler("cosine", optimizer, num_warmup_steps=2, num_training_steps=10)


def rates(groups: int, *, steps: int, before: dict[str, float] | None = None) -> list[float]:
    """Learning rates of the next steps. `before`: to go on from."""
    optimizer, scheduler = schedule(groups)
    if before is not None:
        restore_schedule(scheduler, optimizer, before)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[-1]["lr"])
        assert {group["lr"] for group in optimizer.param_groups} == {found[-1]}
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize(("saved", "resumed"), [(2, 2), (2, 1), (1, 2)])
def test_it_goes_on_with_any_number_of_groups(saved: int, resumed: int, step: int) -> None:
    optimizer, scheduler = schedule(saved)
    for _ in range(step):
        optimizer.step()
        scheduler.step()
    rest = rates(resumed, steps=10 - step, before=schedule_state(scheduler))
    assert rest == rates(1, steps=10)[step:]
