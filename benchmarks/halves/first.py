"""The first half of the digits scenario."""

from benchmarks.halves import half

SCENARIO, load = half(0)
