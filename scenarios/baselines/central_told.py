"""A monolith that is told the region of each sample: what of the lead is the knowledge of regions alone."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from federation.models.cost import Cost
from scenarios.baselines.central import Sight, sighted
from scenarios.baselines.contract import Contender, Method, Trial


class CentralTold(Method):
    """In training it is told the region of the client whose sample it is; in the test, and where clients have samples
    in several regions, the one that the world model's router would ask first. Charts and router count among its active
    parameters."""

    name, title = "central_told", "monolith on pooled data, told the region, equal active parameters"
    reuses_world = True

    def run(self, trial: Trial) -> Contender:
        world, clients = trial.finished().outcome.world, trial.federation.clients
        design, alone = world.design, trial.scenario.charts.clusters == 1
        home = torch.cat(
            [torch.full((len(client.train),), design.region_of_client[number]) for number, client in enumerate(clients)]
        )
        mixed, experts = world.cost({"mixture": 1.0}), world.cost_of_experts(design.router.asked(world.regions))
        routing = mixed.active_parameters - experts.active_parameters
        sight = Sight(
            trial.scenario.model,
            lambda inputs: marked(inputs, home if alone else world.route(inputs).argmax(1), design.regions),
            lambda inputs: marked(inputs, world.route(inputs).argmax(1), design.regions),
            Cost(routing, routing, mixed.query_flops - experts.query_flops),
        )
        return sighted(trial, sight, self.name)


def marked(
    inputs: Float[Tensor, "samples *shape"], region: Int[Tensor, " samples"], regions: int
) -> Float[Tensor, "samples *more"]:
    """Inputs with one more number, or one more plane of an image, for each region: 1 of a sample's own, 0 of others."""
    marks = (
        torch.nn.functional.one_hot(region, regions).to(inputs).view(len(inputs), regions, *[1] * (inputs.dim() - 2))
    )
    return torch.cat([inputs, marks.expand(-1, -1, *inputs.shape[2:])], 1)


CENTRAL_TOLD = CentralTold()
