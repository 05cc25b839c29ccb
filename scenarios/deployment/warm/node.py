"""A SuperNode that looks for messages several times a second, where Flower's waits 3 s after each time it found none.

For deployments on one machine, in which that wait is most of a round; many sites on a network would only load the
SuperLink. Flower has no setting for it, so the module that waits is given a clock whose naps are short.

Usage: node.py [ARGUMENT OF flower-supernode ...]
"""

import time
from types import SimpleNamespace

from flwr.supernode import start_client_internal
from flwr.supernode.cli import flower_supernode

NAP = 0.2
"""Seconds between two looks."""


def main() -> None:
    """Run the node until it is ended."""
    start_client_internal.__dict__["time"] = SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, NAP)))
    flower_supernode()


if __name__ == "__main__":
    main()
