"""A schedule goes on where it was, with as many groups of parameters as the optimizer has there."""

import json

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


def test_groups_with_peaks_of_their_own_go_on_at_their_own_rates() -> None:
    """As with LoRA+. DeepSpeed may have dropped one of several groups with the same peak."""

    def with_peaks(*peaks: float) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": peak} for peak in peaks]
        optimizer = torch.optim.AdamW(groups, lr=0.1)
        return optimizer, get_scheduler("cosine", optimizer, num_warmup_steps=2, num_training_steps=10)

    optimizer, scheduler = with_peaks(0.1, 1.6, 0.1)
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    state = json.loads(json.dumps(schedule_state(scheduler)))
    resumed, resumed_scheduler = with_peaks(0.1, 1.6)
    restore_schedule(resumed_scheduler, resumed, state)

    for _ in range(6):
        assert [group["lr"] for group in resumed.param_groups] == [group["lr"] for group in optimizer.param_groups[:2]]
        for one in (optimizer, scheduler, resumed, resumed_scheduler):
            one.step()
