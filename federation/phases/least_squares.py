"""Makes the head's last layer by least squares."""

from federation.phases.phase import Phase
from federation.phases.reach import TRAIN


class LeastSquares(Phase):
    """Makes the head's last layer by least squares."""

    asks_all = True
    trains = True
    reads = (TRAIN.latent,)
