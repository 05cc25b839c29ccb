"""Each input in units of its region's own deviation."""

from jaxtyping import Float
from torch import Tensor

from federation.manifold.chart import Moments
from federation.manifold.coordinates.rule import CoordinateRule, per_deviation


class Diagonal(CoordinateRule):
    """Each input less its region's mean, over its region's deviation."""

    def ways(self, inputs: Moments, whole: Moments) -> Float[Tensor, " inputs"]:
        own, all_own = (m.scatter.diagonal().div(m.count).clamp_min(0).sqrt() for m in (inputs, whole))
        return per_deviation(own, self.floor * all_own)
