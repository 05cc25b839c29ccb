"""FedDF: FedAvg, whose mean model learns at the server what the clients' models say together."""

from federation.phases.census import Census
from federation.phases.feddf import Feddf
from scenarios.baselines.rival import Rival

FEDDF = Rival(
    "feddf",
    "FedDF: the clients' ensemble distilled in each round, equal active parameters",
    lambda rounds: (Census(), Feddf(rounds=rounds)),
)
"""The server of the paper has unlabelled samples of the same kind. Here it is given the inputs that are held out inside
the federation, which favours the rival over noise or strange images."""
