"""How a region's expert looks at its samples, a rule a file. To add one: a file with a subclass of `CoordinateRule`."""

from federation.manifold.coordinates.coordinates import COORDINATES, Coordinates
from federation.manifold.coordinates.diagonal import Diagonal
from federation.manifold.coordinates.rule import CoordinateRule
from federation.manifold.coordinates.whitened import Whitened
from federation.rules import import_all

import_all(__name__, __path__)

__all__ = ["COORDINATES", "CoordinateRule", "Coordinates", "Diagonal", "Whitened"]
