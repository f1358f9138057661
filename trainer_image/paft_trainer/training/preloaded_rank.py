"""Imported by the forkserver last: all that a rank needs, also what libraries put off, on a heap that is left alone.

DeepSpeed imports torch's compiler when it prepares an optimizer: 0.8 s of computing in each rank. Garbage collections
in a rank would walk over, and with that copy, all that it has in common with the forkserver: another 0.8 s.
"""

import gc

import deepspeed.runtime.zero.muon.muon_optimizer

from paft_trainer.training.rank import run_rank

__all__ = ["deepspeed", "run_rank"]

gc.collect()
gc.freeze()
