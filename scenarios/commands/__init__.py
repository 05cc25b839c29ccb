"""The command `manifold`."""
