"""Growth that keeps the function: Net2Net of Chen, Goodfellow and Shlens (2016), for every elastic family.

All here work on names and shapes alone, with or without a leading clients axis.
"""

import torch
from torch import Tensor

from federation.tensors import Parameters, Shapes

ECHO = 0.125
"""Scale of a new residual block: above zero, since the gradient of a unit that is never active is zero."""

UNEVEN = 0.5
"""How far the shares of two copies in an outgoing weight are from equal, at most, where they are drawn."""


def widened(parameters: Parameters, before: Shapes, after: Shapes, draw: torch.Generator | None) -> dict[str, Tensor]:
    """The same function with more units a layer: they are copied, and copies share their outgoing weights.

    Unit u of a layer that had n is a copy of unit u mod n: so it depends on the two widths alone, and all layers that
    write to one residual stream are copied alike. Equal shares leave copies alike for ever, for they get equal
    gradients; uneven ones tell them apart at once.

    Args:
        before: the shapes of the weights that are given; `after` are those of the wider model.
        draw: draws uneven shares, which leave the function as it is; None: equal ones.
    Raises:
        ValueError: `after` has other layers, or narrower ones.
    """
    if before.keys() != after.keys() or any(_narrower(before[name], after[name]) for name in before):
        raise ValueError("the wider family must have the same layers, none of them narrower")
    wide = {}
    for name, old in before.items():
        wide[name] = parameters[name]
        for axis, (units, wider) in enumerate(zip(old, after[name], strict=True)):
            if wider > units:
                wide[name] = _copied(wide[name], axis - len(old), wider, axis == 1, draw)
    return wide


def deepened(parameters: Parameters, before: Shapes, after: Shapes, residual: bool) -> dict[str, Tensor]:
    """The same function with more blocks before the head, which pass on what they read, all units awake.

    The outputs stay; the trunk, which is what the last block says, does not. Source: Net2DeeperNet.
    What enters a block is nonnegative, so a plain block of the identity passes it on. A residual block of ECHO x the
    identity multiplies it by 1 + ECHO, and the head's weights are divided by that.

    Args:
        residual: whether blocks have skip connections.
    Raises:
        ValueError: `after` lacks layers of `before`, or has others in their place.
    """
    if any(after.get(name) != shape for name, shape in before.items()):
        raise ValueError("the deeper family must have all layers of this one, of the same shapes")
    like, added = parameters["head.weight"], [name for name in after if name not in before]
    leading = like.shape[: like.dim() - len(after["head.weight"])]
    deep = {name: parameters[name] if name in before else like.new_zeros(*leading, *after[name]) for name in after}
    for name in added:
        if len(after[name]) > 1:
            _centre(deep[name], after[name]).fill_(ECHO if residual else 1.0)
            deep["head.weight"] = deep["head.weight"] / (1 + ECHO * residual)
    return deep


def _narrower(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    return len(old) != len(new) or any(b < a for a, b in zip(old, new, strict=True))


def _copied(tensor: Tensor, axis: int, wider: int, outgoing: bool, draw: torch.Generator | None) -> Tensor:
    """The units along an axis, copied in turn until there are so many; copies divide outgoing weights among them."""
    units = tensor.shape[axis]
    copies = torch.arange(wider, device=tensor.device) % units
    wide = tensor.index_select(axis, copies)
    if not outgoing:
        return wide
    shares = torch.ones(wide.shape)
    if draw is not None:
        shares += UNEVEN * (2 * torch.rand(wide.shape, generator=draw) - 1)
    shares = shares.to(wide)
    whole = torch.zeros_like(tensor).index_add_(axis, copies, shares)
    return wide * (shares / whole.index_select(axis, copies))


def _centre(weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The diagonal of a square layer, at the centre of its kernels; a view."""
    for side in reversed(shape[2:]):
        weight = weight.select(-1, side // 2)
    return weight.diagonal(dim1=-2, dim2=-1)
