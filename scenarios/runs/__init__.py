"""Runs on this machine: how they are simulated, searched, compared, scored, written down and taken up again."""
