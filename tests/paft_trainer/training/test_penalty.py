"""The penalty in the loss: the gradient that autograd gives for the paper's loss, at any number of backward passes."""

from types import SimpleNamespace

import pytest
import torch

from paft_trainer.training.penalty import PenaltyInLoss


class Pair(torch.nn.Module):
    """Two factors in a row, as LoRA has them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lora_A, self.lora_B = torch.nn.Linear(6, 3, bias=False), torch.nn.Linear(3, 5, bias=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = self.lora_B(self.lora_A(rows)).square().mean()
        return loss


def gradients(model: Pair) -> list[torch.Tensor]:
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize(("step", "ramp_steps", "strength"), [(0, 0, 1e-2), (0, 4, 2.5e-3), (9, 4, 1e-2)])
def test_it_is_the_gradient_of_the_papers_loss(passes: int, step: int, ramp_steps: int, strength: float) -> None:
    batches = torch.randn(passes, 4, 6, generator=torch.Generator().manual_seed(1))
    ours, papers = Pair(), Pair()
    trainer = SimpleNamespace(
        model=ours, state=SimpleNamespace(global_step=step), current_gradient_accumulation_steps=passes
    )
    PenaltyInLoss(1e-2, ramp_steps).begin(trainer)
    for batch in batches:
        (ours(batch) / passes).backward()
    penalty = sum(parameter.abs().sum() for parameter in papers.parameters())
    (torch.stack([papers(batch) for batch in batches]).mean() + strength * penalty).backward()

    for own, papers_own in zip(gradients(ours), gradients(papers), strict=True):
        torch.testing.assert_close(own, papers_own, rtol=1e-6, atol=1e-8)
