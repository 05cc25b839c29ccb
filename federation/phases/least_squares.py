"""Makes the head's last layer by least squares."""

from federation.phases.phase import Phase


class LeastSquares(Phase):
    """Makes the head's last layer by least squares."""

    asks_all = True
    trains = True
    recalls = ("reach", "evidence")
