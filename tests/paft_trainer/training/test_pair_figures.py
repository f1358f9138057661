"""Figures of pairs in the logs are means over pairs, however these come."""

import torch

from paft_trainer.training.pair_figures import PairFigures


def test_they_are_means_over_pairs_and_not_over_passes() -> None:
    figures = PairFigures()
    figures.take_in({"margins": torch.tensor([1.0, 2.0, 3.0]), "accurate": torch.tensor([True, True, False])})
    figures.take_in({"margins": torch.tensor([10.0]), "accurate": torch.tensor([True])})

    assert figures.take() == {"margins": 4.0, "accurate": 0.75}


def test_each_entry_has_its_own_steps() -> None:
    figures = PairFigures()
    figures.take_in({"margins": torch.tensor([1.0])})
    figures.take()
    figures.take_in({"margins": torch.tensor([5.0])})

    assert figures.take() == {"margins": 5.0}


def test_they_keep_nothing_of_the_graph() -> None:
    values = torch.tensor([1.0], requires_grad=True)
    figures = PairFigures()
    figures.take_in({"margins": values * 2})

    assert figures.take() == {"margins": 2.0}
