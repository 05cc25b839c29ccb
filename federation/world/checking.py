"""Whether the weights of a world model fit its design: whoever wrote its files may have written anything."""

from collections.abc import Mapping
from math import prod

import torch

from federation.learning.experts import Expert
from federation.learning.least_squares import sums_of
from federation.manifold import Atlas
from federation.tensors import Parameters, shapes
from federation.world.composition import PARTS
from federation.world.design import Design


def check_fit(design: Design, atlas: Atlas, experts: Mapping[int, Expert], small: Mapping[str, Parameters]) -> None:
    """Whether all weights have the shapes that a design asks for.

    Args:
        small: the other weights of the world model, by the name of its field.
    Raises:
        ValueError: a part lacks a weight, or has one of another shape.
    """
    latent = atlas.mean.shape[1]
    design.preparation.check(design.task.input_shape, design.task.outputs)
    atlas.check(design.task.outputs if design.task.classifies else 1)
    if not experts or list(experts) != list(range(design.regions)):
        raise ValueError(f"it holds {len(experts)} experts for {design.regions} regions")
    weights = [*design.composition.items(), *design.without_experts.items()]
    if strange := [each for each in weights if each[0] not in PARTS or not 0 <= each[1] < 1e6]:
        raise ValueError(f"its composition gives {strange[0][0]!r} the weight {strange[0][1]}")
    prior = design.family.shapes(design.task, design.size_of_prior)
    expected = {
        "prior": {name: (1, *shape) for name, shape in prior.items()},
        "router": shapes(design.router.init(latent, design.regions, torch.Generator())),
        "head": design.head.shapes(design.task, latent) if design.task.classifies or design.ridge else {},
        "head_sums": sums_of(small["head"]) if small["head_sums"] else {},
    }
    for part, wanted in expected.items():
        if shapes(small[part]) != wanted:
            raise ValueError(f"the weights of its {part} do not fit its design")
    if len(design.sizes) not in (0, design.regions):
        raise ValueError(f"it tells the sizes of {len(design.sizes)} experts for {design.regions} regions")
    for region, expert in experts.items():
        kind, own = expert.kind(design.family, design.task, design.readout)
        wanted = {name: (expert.members, *shape) for name, shape in kind.shapes(own, design.size_of(region)).items()}
        if expert.coordinates:
            expert.coordinates.check(prod(design.task.input_shape), own.outputs)
        if shapes(expert.parameters) != wanted or not expert.members or not expert.fits(design.task):
            raise ValueError(f"the weights of its expert {region} do not fit its design")
        if any(not t.is_floating_point() for t in expert.parameters.values()):
            raise ValueError(f"the weights of its expert {region} are whole numbers")
