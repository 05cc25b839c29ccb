"""ReDo: dormant units begin anew, and are not heard before they have learned. Source: Sokar et al. (2023)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from federation.models.family import ElasticFamily
from federation.tasks import Task
from federation.tensors import Parameters, corner, stacked


@dataclass(frozen=True)
class Stream:
    """Units that layers after one another write to, and those that read them.

    A layer has a stream of its own, but for the blocks of a residual family: they add to what they read, so that unit u
    of each and of the layer before them are one unit to all who read it.
    """

    writers: tuple[str, ...]
    readers: tuple[str, ...]


def streams(layers: Sequence[str], skips: bool) -> list[Stream]:
    """The streams of hidden layers in order; each layer reads the one before it, and the head the last."""
    starts = [n for n, layer in enumerate(layers) if not (skips and layer.startswith("block"))]
    ends, readers = [*starts[1:], len(layers)], [*layers[1:], "head"]
    return [
        Stream(tuple(layers[start:end]), tuple(readers[start:end])) for start, end in zip(starts, ends, strict=True)
    ]


def renewed(
    family: ElasticFamily,
    task: Task,
    models: Parameters,
    dormant: Mapping[str, Bool[Tensor, "clients units"]],
    draw: torch.Generator,
) -> dict[str, Tensor]:
    """The models with their dormant units begun anew: what these read is drawn as in `init`, what reads them is zero.

    The outputs lose what dormant units have said, and nothing else. A unit is dormant in all layers that write to it or
    stays as it is: a block of a residual family has no outgoing weights of its own.

    Args:
        models: of one size.
        dormant: by hidden layer, in order, as `federation.learning.plasticity.LayerSums.dormant` has them.
        draw: such as `torch_generator(seed, "dormant", round, region)`.
    """
    clients = len(models["head.weight"])
    whole = stacked([family.init(task, draw) for _ in range(clients)])
    fresh = {name: whole[name][corner(model.shape)] for name, model in models.items()}
    new = dict(models)
    for stream in streams(list(dormant), family.skips):
        asleep = torch.stack([dormant[layer] for layer in stream.writers]).all(0)
        for name in (f"{layer}.{part}" for layer in stream.writers for part in ("weight", "bias")):
            new[name] = torch.where(_along(asleep, new[name], 1), fresh[name].to(new[name]), new[name])
        for name in (f"{layer}.weight" for layer in stream.readers):
            new[name] = torch.where(_along(asleep, new[name], 2), 0.0, new[name])
    return new


def _along(units: Bool[Tensor, "clients units"], like: Tensor, axis: int) -> Bool[Tensor, "clients ..."]:
    """The units along one axis of a tensor."""
    shape = [1] * like.dim()
    shape[0], shape[axis] = units.shape
    return units.view(shape)
