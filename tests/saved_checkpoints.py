"""Checkpoints in storage as ranks would leave them, without ranks."""

from paft_api.layout import checkpoint_folder
from paft_trainer.keeping.saved_checkpoints import SavedCheckpoint, part_file
from paft_trainer.storage import ObjectStore
from paft_trainer.training.adapter_state import share_of
from paft_trainer.training.checkpoints.checkpoint import Checkpoint, complete_checkpoint, encode_trainer_state
from paft_trainer.training.checkpoints.parts import write_part


def save_checkpoint(
    store: ObjectStore, attempt_folder: str, checkpoint: Checkpoint, *, eval_loss: float | None
) -> SavedCheckpoint:
    """What the ranks write of which `checkpoint.rng` tells, one after the other."""
    step, ranks = checkpoint.position.step, len(checkpoint.rng)
    folder = checkpoint_folder(attempt_folder, step)
    shares = [share_of(checkpoint.adapter, rank=rank, ranks=ranks) for rank in range(ranks)]
    parts = [
        write_part(store, folder + part_file(rank, ranks), share, checkpoint.rng[rank])
        for rank, share in enumerate(shares)
    ]
    state = encode_trainer_state(checkpoint.position, shares[0])
    return complete_checkpoint(store, folder, step=step, state=state, parts=parts, eval_loss=eval_loss)
