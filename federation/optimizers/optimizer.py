"""The contract of an optimiser: what a step makes of the gradients, for the models of a whole cohort at once."""

from abc import abstractmethod

from jaxtyping import Float
from torch import Tensor

from federation.rules import Rule


class Optimizer(Rule):
    """Contract: a step is weight <- weight - rate * direction, coordinate by coordinate.

    What an optimiser does to a cohort is thus what it does to each client's model alone.
    """

    @property
    def plain(self) -> bool:
        """Whether the direction is the gradient itself, so that nothing has to be kept or written down."""
        return False

    @abstractmethod
    def direction(
        self,
        gradient: Float[Tensor, "clients *shape"],
        weight: Float[Tensor, "clients *shape"],
        state: dict[str, Tensor],
        step: int,
    ) -> Float[Tensor, "clients *shape"]:
        """Along which the weight goes down.

        Args:
            state: what this tensor's last steps have left, empty before the first; the optimiser updates it.
            step: number of this step in the round, from 1.
        """
