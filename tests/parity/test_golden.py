"""World models and scores of small federations, as they were before phases became values."""

import pytest

from scenarios.runs.engines import HERE
from scenarios.runs.progress import Silent
from scenarios.runs.simulate import simulate

SMALL = {"partition.clients": 5, "prior.rounds": 2, "experts.rounds": 2, "head.rounds": 2, "router.rounds": 2}
RICH = {
    "sizes.kind": "tiers",
    "fraction": 0.6,
    "plasticity.samples": 4,
    "coupling.rounds": 2,
    "fixed_point.residual": 1e-3,
    "novelty.spawn_at": 20,
    "novelty.quantile": 0.9,
}
FIELD = {"prior.rounds": 2, "experts.rounds": 2, "router.rounds": 2, "coupling.rounds": 2}

GOLDEN = {
    "digits": ("digits", SMALL, 0.9832869080779945, 4126.277792194032),
    "rich": ("digits", SMALL | RICH, 0.9805013927576601, 4111.90796824805),
    "piecewise": ("piecewise", FIELD, 0.8514832258224487, 2285.234489344298),
}
"""Scenario, overrides, score on the union test, and the sum of all absolute weights of the world model."""


def found(scenario, overrides):
    simulation = simulate(scenario, overrides, 0, Silent(), HERE)
    tensors = simulation.run.outcome.world.tensors().values()
    return simulation.scores["union"], sum(float(tensor.double().abs().sum()) for tensor in tensors)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_small_federation_gives_the_world_model_that_it_gave_before(name):
    scenario, overrides, union, weights = GOLDEN[name]
    assert found(scenario, overrides) == pytest.approx((union, weights), rel=1e-6)
