"""Which size of the family each client trains, one rule a file. To add one: a file here, and its import here."""

from federation.models.sizes.by_dimension import ByDimension
from federation.models.sizes.full_size import FullSize
from federation.models.sizes.rule import SizeRule, turns
from federation.models.sizes.smaller_of_both import SmallerOfBoth
from federation.models.sizes.tiers import Tiers

__all__ = ["ByDimension", "FullSize", "SizeRule", "SmallerOfBoth", "Tiers", "turns"]
