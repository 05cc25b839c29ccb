"""Boundary coupling in whole federations: the same on every engine, and without strength nothing but more training."""

import pytest
import torch

from clients.app import app
from federation.engine import SerialGrid
from federation.opening import open_run, run_config
from federation.wire.records import Order
from scenarios.runs.engines import HERE, SERIAL
from server.app import federate
from tests.parity.test_engines import assert_close, tensors
from tests.small import ROUNDS

COUPLED = ROUNDS | {"experts.rounds": 1, "coupling.rounds": 2, "coupling.strength": 1.0, "coupling.warm_up": 0.0}
TIERS = {"sizes.kind": "tiers", "sizes.widths": [1.0, 0.5], "sizes.depths": [1.0, 0.0]}
FEW = {"prior.rounds": 1, "experts.rounds": 1, "coupling.rounds": 2, "router.rounds": 1, "local.epochs": 1}


@pytest.mark.parametrize(
    ("scenario", "overrides"),
    [("digits", COUPLED | TIERS), ("piecewise", FEW)],
    ids=["classes and many sizes", "values"],
)
def test_the_cohort_engine_equals_the_serial_one(scenario, overrides):
    config = run_config(scenario, overrides, 0)
    one, other = tensors(SERIAL, config=config), tensors(HERE, config=config)
    assert_close(one[0], other[0], 1e-5)
    torch.testing.assert_close(one[1], other[1], rtol=1e-5, atol=1e-5)


def test_with_a_strength_of_zero_coupling_is_further_rounds_of_the_experts_at_any_schedule():
    shared = ROUNDS | {"local.schedule": "cosine", "local.optimizer.momentum": 0.5, "aggregation.kind": "momentum"}
    zero = shared | {"experts.rounds": 1, "coupling.rounds": 2, "coupling.strength": 0.0}
    one, other = (tensors(HERE, config=run_config("digits", o, 0)) for o in (zero, shared | {"experts.rounds": 3}))
    assert_close(one[0], other[0], 0.0)
    assert torch.equal(one[1], other[1])


class Listening(SerialGrid):
    """Keeps the names of the tensors that each client is sent in the coupling phase."""

    def __init__(self, config, clients):
        super().__init__(app, clients, config)
        self.sent = {}

    def serve(self, messages):
        for message in messages:
            order = Order.from_record(message.content)
            if order.phase == "coupling":
                parts = {name.split("/")[0] for name in order.tensors}
                self.sent.setdefault(message.metadata.dst_node_id, []).append(parts)
        return super().serve(messages)


def test_a_client_downloads_charts_and_encoder_once_and_its_neighbours_in_every_round():
    config = run_config("piecewise", FEW | {"coupling.rounds": 3, "fraction": 0.5}, 0)
    opened = open_run(config)
    federation = opened.federation()
    grid = Listening(config, len(federation.clients))
    federate(grid, opened.scenario, federation.task, len(federation.clients))
    assert max(map(len, grid.sent.values())) > 1
    always = {"model", "neighbours", "variances"}
    for first, *later in grid.sent.values():
        assert first == always | {"encoder", "atlas"}
        assert all(parts == always for parts in later)
