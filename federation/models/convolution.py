"""Convolutions of many clients at once, each with kernels of its own: in the way that is fastest where they run."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Read = Float[Tensor, "samples folded height width"]
Said = Float[Tensor, "samples folded2 height2 width2"]
"""Images of all clients, whose channels lie one client's after another's: before, and after."""


def convolved(
    images: Read,
    weight: Float[Tensor, "clients units channels rows columns"],
    bias: Float[Tensor, "clients units"],
    stride: int = 1,
) -> Said:
    """Each client's images under that client's kernels, of odd sides, at every `stride`-th place; borders are zero.

    A side of one place has no stride, and its kernel is one long.
    """
    strides = [stride if side > 1 else 1 for side in images.shape[2:]]
    return (as_products if images.is_cuda else as_groups)(images, weight, bias, strides)


def as_groups(images: Tensor, weight: Tensor, bias: Tensor, strides: list[int]) -> Said:
    """As one grouped convolution: fastest on a processor, where channels come last."""
    padding = [side // 2 for side in weight.shape[3:]]
    return F.conv2d(images, weight.flatten(0, 1), bias.flatten(), strides, padding, groups=len(weight))


def as_products(images: Tensor, weight: Tensor, bias: Tensor, strides: list[int]) -> Said:
    """As one product a client, of the patches of its images with its kernels: many times faster on a GPU."""
    clients, units, _, rows, columns = weight.shape
    own = images.reshape(len(images), clients, -1, *images.shape[2:])
    padded = F.pad(own, (columns // 2, columns // 2, rows // 2, rows // 2))
    patches = padded.unfold(3, rows, strides[0]).unfold(4, columns, strides[1]).permute(1, 0, 3, 4, 2, 5, 6)
    read = patches.flatten(1, 3).flatten(2)
    said = torch.baddbmm(bias.unsqueeze(1), read, weight.flatten(2).transpose(1, 2))
    return said.reshape(*patches.shape[:4], units).permute(1, 0, 4, 2, 3).flatten(1, 2)
