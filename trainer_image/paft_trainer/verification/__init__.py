"""Whether a folder still holds what was published or indexed."""

from paft_trainer.verification.verify import verify

__all__ = ["verify"]
