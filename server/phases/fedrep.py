"""The representation for all clients between two rounds, and the mean of the clients' heads."""

from federation.phases.fedrep import Fedrep as Value
from federation.tensors import prefixed
from server.global_model import GlobalModelTraining
from server.phases.contract import Kind, Now, Told


class Fedrep(GlobalModelTraining):
    """Sends the representation, and the mean head to clients that have none of their own yet.

    A new client of the paper trains a head on labelled samples of its own. One that is unknown here has none, so the
    mean of the clients' heads answers it.
    """

    def told(self, now: Now, kind: Kind) -> Told:
        rests = now.scenario.phase(Value).personal if kind.knows else ()
        return Told(prefixed("model", {n: t for n, t in now.state.prior.parameters.items() if n not in rests}))


SIDE = Fedrep()
