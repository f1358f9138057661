"""How many optimizer steps a data set gives."""

import math

from paft_api.spec.training import TrainingSpec


def total_steps(training: TrainingSpec, rows: int) -> int:
    """maxSteps, else ⌊epochs × steps per epoch⌋ and at least 1; the rest of each epoch's rows that fills no batch is
    left."""
    if training.max_steps is not None:
        return training.max_steps
    return max(1, math.floor(training.epochs * (rows // training.global_batch_size)))
