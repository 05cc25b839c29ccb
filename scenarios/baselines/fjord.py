"""FjORD: like HeteroFL, and in each step a smaller slice of a device's own learns what that one says."""

from federation.phases.averaging import Averaging
from federation.phases.census import Census
from scenarios.baselines.rival import Rival

FJORD = Rival(
    "fjord",
    "FjORD: nested slices of one model by ordered dropout, equal active parameters",
    lambda rounds: (Census(), Averaging(rounds=rounds, distilled=True)),
    tiers=True,
)
"""HeteroFL with ordered dropout and self-distillation. Source: Horvath et al. (2021)."""
