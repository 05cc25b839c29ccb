"""HeteroFL: every device trains the leading units of one model, as many as it can."""

from scenarios.baselines.fedavg import FEDAVG
from scenarios.baselines.rival import Rival

HETEROFL = Rival("heterofl", "HeteroFL: nested slices of one model, equal active parameters", FEDAVG.phases, tiers=True)
"""The mean of nested slices, of each coordinate over the clients that hold it. Source: Diao et al. (2021).

The families have no normalisation layers, so its static ones and its scaler have no place. Its masked loss, in which a
client's classes alone compete, is left out to its favour: on digits it costs more than ten points.
"""
