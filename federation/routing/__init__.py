"""Routing rules, one a file. To add one: a file here with a subclass of `RoutingRule`, and a contract row."""

from federation.routing.chart_posterior import ChartPosterior
from federation.routing.rule import RoutingRule, gates
from federation.routing.tuned_residual import TunedResidual
from federation.routing.uniform import Uniform

__all__ = ["ChartPosterior", "RoutingRule", "TunedResidual", "Uniform", "gates"]
