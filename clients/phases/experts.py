"""The expert of each client's region, trained on the client's samples."""

from clients.model_training import contribute

__all__ = ["contribute"]
