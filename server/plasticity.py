"""Which units of each region's expert are dormant after a round, and how they begin anew."""

from collections.abc import Mapping
from dataclasses import replace

from jaxtyping import Bool
from torch import Tensor

from federation.learning.experts import specialised
from federation.learning.plasticity import silent
from federation.models.redo import renewed
from federation.randomness import torch_generator
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters
from federation.wire.contribution import Contribution
from server.state import Model, ServerState

SAID = "metric/awake/"


def dormant(sums: Parameters, model: Model) -> dict[str, Bool[Tensor, "members units"]]:
    """The dormant units of each hidden layer, in order; a unit that nobody has looked at is none."""
    found = {}
    for layer in (name.removeprefix(SAID) for name in sums if name.startswith(SAID)):
        if f"{layer}.bias" in model.parameters:
            units = model.parameters[f"{layer}.bias"].shape[-1]
            said, seen = (sums[f"metric/{what}/{layer}"][:, :units] for what in ("awake", "seen"))
            found[layer] = silent(said, seen)
    return found


def dormant_shares(total: Contribution, models: Mapping[int, Model]) -> dict[int, float]:
    """Share of the dormant among all hidden units of each model that a round has trained, by region; the prior's under
    -1."""
    shares = {}
    for region, sums in sorted(total.sums.items()):
        if region in models and (units := dormant(sums, models[region])):
            asleep = sum(int(layer.sum()) for layer in units.values())
            shares[region] = asleep / sum(layer.numel() for layer in units.values())
    return shares


def reinitialise_dormant(
    state: ServerState, sums: Mapping[int, Parameters], round_: int, scenario: Scenario, task: Task
) -> tuple[ServerState, tuple[str, ...]]:
    """The experts of which too many units are dormant with these drawn anew, and a sentence for each.

    Args:
        sums: of the round of the experts that has just ended, by region.
        round_: its number, the address of all draws.
    """
    experts, told = list(state.experts), []
    for region in sorted(sums):
        model, expert = state.experts[region], state.expert(region)
        units = dormant(sums[region], model)
        asleep = sum(int(layer.sum()) for layer in units.values())
        if scenario.plasticity.worn(asleep, sum(layer.numel() for layer in units.values())):
            family, own = specialised(scenario.model, task, expert.outputs, expert.members)
            draw = torch_generator(scenario.seed, "dormant", region, round_)
            experts[region] = replace(model, parameters=renewed(family, own, model.parameters, units, draw))
            told.append(f"{asleep} dormant units of region {region} began anew")
    return replace(state, experts=tuple(experts)), tuple(told)
