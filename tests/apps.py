"""Cohort apps with faults, in a module that worker processes can import."""

import os
import time

from clients.app import serve_cohort


def deadly(messages, contexts):
    """Client 2 takes its worker with it."""
    if any(context.node_config["partition-id"] == 2 for context in contexts):
        os._exit(9)
    return serve_cohort(messages, contexts)


def slow(messages, contexts):
    """A second before each answer, in which a worker can be killed."""
    time.sleep(1)
    return serve_cohort(messages, contexts)
