"""Routing rules, one a file. To add one: a file here with a subclass of `RoutingRule`."""

from federation.routing.chart_posterior import ChartPosterior
from federation.routing.nearest_region import NearestRegion
from federation.routing.prototype_retrieval import PrototypeRetrieval
from federation.routing.rule import Gates, RoutingRule, shared
from federation.routing.tuned_residual import TunedResidual
from federation.routing.uniform import Uniform
from federation.routing.windows import Windows
from federation.rules import import_all

import_all(__name__, __path__)

__all__ = [
    "ChartPosterior",
    "Gates",
    "NearestRegion",
    "PrototypeRetrieval",
    "RoutingRule",
    "TunedResidual",
    "Uniform",
    "Windows",
    "shared",
]
