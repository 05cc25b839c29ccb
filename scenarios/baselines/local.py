"""Every client alone: the experts' family, trained on the client's own data only. Nothing is communicated."""

from federation.phases.local import Local
from scenarios.baselines.rival import Rival

LOCAL = Rival("local", "each client alone, equal expert size", lambda rounds: (Local(rounds=rounds),), sized=None)
"""On the union each sample is answered by a client drawn at random; on local tests by its own client."""
