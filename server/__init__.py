"""The Flower server: one Strategy with its phases, and the aggregation rules."""
