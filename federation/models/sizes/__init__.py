"""Which size of the family each client trains, a rule a file. To add one: a file here with a subclass of `SizeRule`."""

from federation.models.sizes.full_size import FullSize
from federation.models.sizes.rule import SizeRule, turns
from federation.models.sizes.tiers import Tiers
from federation.rules import import_all

import_all(__name__, __path__)

__all__ = ["FullSize", "SizeRule", "Tiers", "turns"]
