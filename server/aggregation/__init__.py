"""One aggregation rule a file. To add one: a file here with a subclass of `AggregationRule`, and a contract row."""

from server.aggregation.mean import Mean
from server.aggregation.momentum import Momentum

__all__ = ["Mean", "Momentum"]
