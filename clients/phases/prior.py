"""The foundation prior, trained on all of each client's samples."""

from clients.model_training import contribute

__all__ = ["contribute"]
