"""Optimisers of local training, one a file. To add one: a file here with a subclass of `Optimizer`."""

from federation.optimizers.adamw import AdamW
from federation.optimizers.optimizer import Optimizer
from federation.optimizers.sgd import Sgd
from federation.rules import import_all

import_all(__name__, __path__)

__all__ = ["AdamW", "Optimizer", "Sgd"]
