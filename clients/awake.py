"""How much the hidden units of freshly trained models say, on a few of each client's samples: sums that add up."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from federation.data.samples import Samples
from federation.models import ElasticFamily
from federation.tasks import Task
from federation.tensors import Parameters


@torch.no_grad()
def awake(
    models: Parameters, samples: Sequence[Samples], family: ElasticFamily, task: Task, round_: int, most: int
) -> dict[str, Float[Tensor, "clients units"]]:
    """Sums of what each unit says, `awake/layer`, and over how many samples, `seen/layer`; zero for units that are not
    in a slice.

    Args:
        models: of the clients, all of one size.
        round_: whose samples are looked at: they roll on from round to round.
        most: samples of a client.
    """
    device = next(iter(models.values())).device
    rows = torch.stack([_rolled(own, task, round_, most) for own in samples]).to(device)
    looked = torch.tensor([float(most if len(own) else 0) for own in samples], dtype=torch.float64)
    sums = {
        f"{what}/{layer}": looked.new_zeros(len(samples), units)
        for layer, units in family.layers(task).items()
        for what in ("awake", "seen")
    }
    for layer, said in family.hidden(models, rows).items():
        each = said.abs().flatten(3).mean(3) if said.dim() > 3 else said.abs()
        units = each.shape[2]
        sums[f"awake/{layer}"][:, :units] = each.double().sum(1).cpu() * (looked / most).unsqueeze(1)
        sums[f"seen/{layer}"][:, :units] = looked.unsqueeze(1)
    return sums


def _rolled(own: Samples, task: Task, round_: int, most: int) -> Float[Tensor, "most *shape"]:
    """A client's next samples, from the beginning again after the last; zeros where it has none."""
    if not len(own):
        return torch.zeros(most, *task.input_shape)
    return own.inputs[(round_ * most + torch.arange(most)) % len(own)]
