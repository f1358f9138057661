"""The last stage: base and both adapters become one checkpoint, exactly and in bounded memory."""

from paft_trainer.merge.stage import run

__all__ = ["run"]
