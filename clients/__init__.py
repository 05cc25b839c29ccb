"""The Flower client: one local loop over a leading clients axis, and what a client does in each phase."""
