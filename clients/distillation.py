"""Ordered dropout: in each step a smaller size of a client's model learns what the whole of it says.

The whole goes down the task's loss, and the slice of the step down KL(whole || slice), of which the whole's answers are
given; the gradients add up. So the leading units learn to answer without the others. Source: FjORD, Horvath et al.
(2021), with self-distillation at a temperature of one and nothing of the labels in the slices' loss (its alpha of one).
"""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from federation.models import ElasticFamily, Size
from federation.models.family import Gradient, written_out
from federation.tasks import Task
from federation.tensors import Parameters, corner


def taught(
    family: ElasticFamily,
    task: Task,
    part: Parameters,
    inputs: Float[Tensor, "clients batch *shape"],
    said: Float[Tensor, "clients batch outputs"],
    weights: Float[Tensor, "clients batch"],
) -> Mapping[str, Gradient]:
    """Gradients of a slice's divergence from what the whole said; of values, of half the squared difference."""
    outputs, vjp = family.vjp(part, inputs)
    return vjp((task.answers(outputs) - task.answers(said)) * weights.unsqueeze(-1))


def lifted(whole: Mapping[str, Gradient], part: Mapping[str, Gradient]) -> dict[str, Tensor]:
    """The gradients of the whole with those of a slice added where it lies."""
    total = {name: written_out(gradient) for name, gradient in whole.items()}
    for name, gradient in part.items():
        own = written_out(gradient)
        total[name][(slice(None), *corner(own.shape[1:]))] += own
    return total


def distillation_cost(family: ElasticFamily, task: Task, size: Size, inner: Sequence[Size]) -> float:
    """Multiply-adds of what a visited sample costs beside, on average over the turns."""
    smaller = sum(family.multiplies(task, small) for small in inner if small != size)
    return smaller / max(len(inner), 1)
