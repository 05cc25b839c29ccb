"""Cohort apps with faults, in a module that worker processes can import."""

import os
import time

from clients.app import serve_cohort


def deadly(asked):
    """Client 2 takes its worker with it."""
    if 3 in asked.nodes:
        os._exit(9)
    return serve_cohort(asked)


def slow(asked):
    """A second before each answer, in which a worker can be killed."""
    time.sleep(1)
    return serve_cohort(asked)
