"""What a client makes of the experts that it has downloaded, and of those that it has not."""

import pytest
import torch

from clients.member import Member, Memory
from clients.phases.composition import held_out_parts
from clients.phases.evidence import remember
from federation.data.samples import ClientData, Samples
from federation.learning.experts import Expert, scattered
from federation.opening import open_scenario
from federation.phases.evidence import EXPERTS, LIKELIHOODS
from federation.phases.reach import HELD_OUT
from federation.tasks import Regression
from federation.tensors import prefixed, single
from federation.wire.records import VARIANCES, Order

TASK = Regression(input_shape=(3,), outputs=2)
SCENARIO = open_scenario(
    "piecewise", {"router.rule.kind": "chart_posterior", "router.rule.top": 3, "router.rule.temperature": 1.0}
).scenario


@pytest.fixture
def member():
    """Has downloaded the experts of regions 0 and 2, and never that of region 1."""
    draw = torch.Generator().manual_seed(0)
    samples = Samples(torch.randn(4, 3, generator=draw), torch.zeros(4, 2))
    experts = {region: Expert(single(SCENARIO.model.init(TASK, draw))) for region in (0, 2)}
    tensors = prefixed("experts", scattered(experts)) | prefixed("prior", experts[0].parameters)
    order = Order("evidence", 0, settings={"regions": 3}, tensors=tensors | {VARIANCES: torch.ones(2)})
    found = Member(0, ClientData(train=samples, held_out=samples, test=samples), Memory())
    remember(order, found, SCENARIO, TASK)
    return found


def test_an_expert_that_was_not_downloaded_explains_nothing(member):
    likely = member.memory[LIKELIHOODS]
    assert likely[:, 1].tolist() == [0.0] * 4
    assert (likely[:, [0, 2]] > 0).all()


def test_an_expert_that_was_not_downloaded_has_no_say_in_the_mixture(member):
    member.memory[HELD_OUT.latent] = torch.zeros(4, 1)
    member.memory[HELD_OUT.scores] = torch.tensor([[0.5, 0.3, 0.2]]).log().expand(4, 3)
    mixture = held_out_parts(Order("composition", 0), member, SCENARIO, TASK)["mixture"]
    answers = member.memory[EXPERTS]
    torch.testing.assert_close(mixture, (0.5 * answers[:, 0] + 0.2 * answers[:, 2]) / 0.7)
