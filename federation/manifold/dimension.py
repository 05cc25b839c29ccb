"""How many dimensions a region's samples fill, from the distances to their two nearest neighbours, as sums that add up.

Where density is even at the scale of neighbours, log mu of mu = r2 / r1 is exponential with rate d, whatever the
density. Source: TwoNN, Facco et al. (2017).
"""

from dataclasses import dataclass
from math import nan

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from federation.tensors import Parameters

SPACING = ("spacing/used", "spacing/logs")
"""What the sums are called when they travel."""

CAP = 1_000
"""Samples of one client that are looked at, at most: the work is quadratic in them."""
LEAST = 10
"""With fewer samples a client sends nothing: they say little, and too much about each."""
KEPT = 0.9
"""Share of the ratios that are used: the largest see the ends of a region rather than its dimension."""


@dataclass(frozen=True)
class Spacing:
    """Sums over samples: how many ratios are used, and log mu, where each discarded one counts as the largest used.

    So their ratio is the maximum-likelihood dimension given that the discarded ones are no smaller. Source for censored
    exponential samples: Epstein and Sobel (1953).
    """

    used: float = 0.0
    logs: float = 0.0

    def __add__(self, other: "Spacing") -> "Spacing":
        return Spacing(self.used + other.used, self.logs + other.logs)

    @property
    def dimension(self) -> float:
        """d = N / sum log mu; NaN where nothing is known."""
        return self.used / self.logs if self.logs > 0 else nan

    def sums(self) -> dict[str, Tensor]:
        """As sums that travel; none where nothing is known."""
        values = torch.tensor([self.used, self.logs], dtype=torch.float64)
        return dict(zip(SPACING, values, strict=True)) if self.used else {}

    @staticmethod
    def from_sums(sums: Parameters) -> "Spacing":
        """The inverse of `sums`."""
        return Spacing(*(float(sums.get(name, 0.0)) for name in SPACING))


def spacing(latent: Float[Tensor, "samples latent"], draw: np.random.Generator) -> Spacing:
    """The sums of one client's samples; equal samples count once, and of many only CAP drawn ones are looked at."""
    rows = torch.from_numpy(np.unique(latent.double().numpy(), axis=0))
    if len(rows) < LEAST:
        return Spacing()
    if len(rows) > CAP:
        rows = rows[torch.from_numpy(np.sort(draw.choice(len(rows), CAP, replace=False)))]
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    nearest, second = distances.topk(2, largest=False).values.unbind(1)
    logs = (second / nearest).log().sort().values
    used = max(1, int(KEPT * len(logs)))
    return Spacing(float(used), float(logs[:used].sum() + (len(logs) - used) * logs[used - 1]))
