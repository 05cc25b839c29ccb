"""Emissions of a gas turbine, year by year: of each year's four clients nobody is left in the next."""

from federation.manifold import ChartRule, PrincipalComponents
from federation.routing import ChartPosterior
from federation.settings import CompositionSettings, NoveltySettings, RouterSettings
from federation.world.composition import Part
from scenarios.library import gas_turbine

PARTS: tuple[Part, ...] = ("mixture",)

SCENARIO = gas_turbine.SCENARIO.model_copy(
    update={
        "name": "turbine_years",
        "title": "Emissions of a gas turbine, five years that follow one another",
        "encoder": PrincipalComponents(dimensions=9),
        "charts": ChartRule(rank=9, shrinkage=5.0),
        "router": RouterSettings(rule=ChartPosterior(), rounds=0),
        "composition": CompositionSettings(parts=PARTS, context_router=True),
        "novelty": NoveltySettings(quantile=1.0),
    }
)
"""Years differ little in what the turbine is asked and much in what it emits, so the charts keep all nine inputs, and
nothing is left to the first year's generalist. Which year it is, one hour does not tell, but the hours of a quarter do:
queries that come together share their experts, which pays only where there are several years, so that no year alone can
find it out."""

load = gas_turbine.load
