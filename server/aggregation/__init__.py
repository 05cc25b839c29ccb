"""One aggregation rule a file. To add one: a file here with a subclass of `AggregationRule`."""

from federation.rules import import_all
from server.aggregation.adam import Adam
from server.aggregation.mean import Mean
from server.aggregation.momentum import Momentum

import_all(__name__, __path__)

__all__ = ["Adam", "Mean", "Momentum"]
