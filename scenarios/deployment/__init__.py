"""Real deployments: the folder that describes one, its certificates and keys, and what is done with it."""
