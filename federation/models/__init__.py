"""Elastic families, one a file. To add one: a file here with a subclass of `ElasticFamily`."""

from federation.models.convnet import Convnet
from federation.models.family import ElasticFamily, Size
from federation.models.mlp import Mlp
from federation.models.sizes import FullSize, SizeRule, Tiers
from federation.rules import import_all

import_all(__name__, __path__)

__all__ = ["Convnet", "ElasticFamily", "FullSize", "Mlp", "Size", "SizeRule", "Tiers"]
