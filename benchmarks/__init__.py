"""Speed, measured: `python -m benchmarks.cohort` for our engine, `python -m benchmarks.peers` for all contenders."""
