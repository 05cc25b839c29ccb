"""The glossary of axes and the tensor aliases of the whole project.

Axes, in the order in which they appear:

| axis         | meaning                                                            |
|--------------|--------------------------------------------------------------------|
| `clients`    | members of a cohort; always the leading axis of batched tensors    |
| `samples`    | rows of one client's data, or of a query                           |
| `steps`      | gradient steps of one local training                               |
| `regions`    | pieces of the atlas; each has one expert                           |
| `components` | Gaussians of all charts together; each belongs to one region       |
| `outputs`    | classes of a classification, or coordinates of a regression target |
| `latent`     | dimensions of encoder space                                        |
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

Parameters = Mapping[str, Tensor]
"""One model: name -> weights. With a leading `clients` axis: one model for each member of a cohort."""

Shapes = dict[str, tuple[int, ...]]
"""Name -> shape of each tensor of one model."""

CACHE = 16 * 2**20
"""Bytes of a working set that a processor's caches hold: what goes through more of them at once is slower, not faster.
Measured: an mlp of 9,000 weights trains fastest with 100 to 250 clients side by side, the fashion scenario's convnet
with 10 to 20."""

PER_THREAD = 5e7
"""Multiply-adds of a training step's forward pass that are worth a thread (`benchmarks/threads.py`)."""


@contextmanager
def threads_for(multiplies: float) -> Iterator[None]:
    """As many threads for torch as training steps are worth whose forward pass has so many multiply-adds: at least one,
    and no more than there are. In small steps they wait for each other at every product, and two take longer than one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, int(multiplies / PER_THREAD))))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache
def accelerator() -> torch.device:
    """Where large models are trained in this process: on its GPU if it has been given one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


_resident: MutableMapping[Tensor, Tensor] = WeakTensorKeyDictionary()


def resident(tensor: Tensor, device: torch.device) -> Tensor:
    """A processor's tensor on a GPU, which keeps its copy for as long as the tensor lives, up to half of its memory.

    What is there already comes back as it is: kept as its own copy, it would live for ever.
    """
    if tensor.device.type == device.type:
        return tensor
    if tensor not in _resident:
        free, total = torch.cuda.mem_get_info(device)
        if 2 * free < total:
            return tensor.to(device)
        _resident[tensor] = tensor.to(device)
    return _resident[tensor]


def corner(shape: Sequence[int]) -> tuple[slice, ...]:
    """Where a smaller tensor of this shape lies in a larger one: at the beginning of every axis."""
    return tuple(slice(0, length) for length in shape)


def count(parameters: Parameters) -> int:
    """Number of scalars in a model."""
    return sum(tensor.numel() for tensor in parameters.values())


def shapes(parameters: Parameters) -> Shapes:
    """Name -> shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in parameters.items()}


def nbytes(tensors: Parameters) -> int:
    """Bytes of the tensors as they travel."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def dense(tensors: Parameters) -> dict[str, Tensor]:
    """Copies without gaps, as files hold them: tensors that share memory are refused there."""
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}


def prefixed(prefix: str, tensors: Parameters) -> dict[str, Tensor]:
    """The same tensors under `prefix/name`."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Parameters) -> dict[str, Tensor]:
    """The tensors whose name begins with `prefix/`, without it."""
    return {name.removeprefix(prefix + "/"): t for name, t in tensors.items() if name.startswith(prefix + "/")}


def single(model: Parameters) -> dict[str, Tensor]:
    """A model as a cohort of one."""
    return {name: tensor[None] for name, tensor in model.items()}


def stacked(models: list[Parameters]) -> dict[str, Tensor]:
    """Models of equal shapes along a new leading axis; not to be written to, for a model that recurs is not copied."""
    return {name: _stack([model[name] for model in models]) for name in models[0]}


def unstacked(models: Parameters) -> list[Parameters]:
    """The models along a leading axis one by one, on the CPU: the inverse of `stacked`."""
    here = {name: tensor.cpu() for name, tensor in models.items()}
    return [{name: tensor[n] for name, tensor in here.items()} for n in range(len(next(iter(here.values()))))]


def _stack(tensors: list[Tensor]) -> Tensor:
    first = tensors[0]
    return first.expand(len(tensors), *first.shape) if all(t is first for t in tensors) else torch.stack(tensors)


def weighted_sum(stack: Float[Tensor, "clients *shape"], weights: Float[Tensor, " clients"]) -> Float[Tensor, "*shape"]:
    """sum_c weights[c] stack[c], added up in the stack's precision and given in float64.

    Read along memory, in whatever order the axes lie there: many times faster than where they would be copied.
    """
    order = sorted(range(1, stack.dim()), key=stack.stride, reverse=True)
    along = stack.permute(0, *order)
    total = torch.mv(along.reshape(len(stack), -1).T, weights.to(stack)).double().view(along.shape[1:])
    return total.permute([order.index(axis) for axis in range(1, stack.dim())])
