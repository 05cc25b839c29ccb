"""Studies of many runs: ablations, sweeps, drift, and the three quantities of Model CAP."""
