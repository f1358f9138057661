"""The first stage: find out, before any GPU is asked for, what is there, what is done and what is wrong.

All findings are collected; the stage fails once, with all of them.
"""

from paft_trainer.prepare.findings import PreparationFailed
from paft_trainer.prepare.preparation import run

__all__ = ["PreparationFailed", "run"]
