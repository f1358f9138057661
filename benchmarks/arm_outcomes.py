"""What is known of an arm before and after training; passed between processes as JSON."""

from paft_api.model import Model
from paft_api.report import Sparsity


class ArmRun(Model):
    """What came of one training."""

    eval_loss: float
    """On the evaluation rows at the end, without the penalty."""
    sparsity: Sparsity
    """At the end."""
    tokens_per_second: float
    """Over all processes, from the first to the last step."""
    warnings: tuple[str, ...] = ()
    """What could not be as asked for."""


class Untrained(Model):
    """What is known before training."""

    eval_loss: float
    """On the evaluation rows."""
    tokens: int
    """In the rows that the setting's steps train on."""
