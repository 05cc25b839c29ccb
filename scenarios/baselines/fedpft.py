"""FedPFT: Gaussians of the features, sent once, and a head that the server trains on draws from them."""

from federation.phases.census import Census
from federation.phases.encoder import Encoder
from federation.phases.fedpft import Fedpft
from scenarios.baselines.rival import Rival

FEDPFT = Rival(
    "fedpft",
    "FedPFT: one-shot Gaussians and a head, equal active parameters",
    lambda rounds: (Census(), Encoder(), Fedpft(budget=rounds)),
)
"""The features of the paper are a foundation model's, which costs the federation nothing. Here they are those of the
shared encoder, which the federation fits first. Encoder and head together are as large as one query of the world model.
"""
