"""Cohort apps and trials with faults, in a module that worker processes can import."""

import os
import resource
import time

import psutil
import sklearn.datasets  # noqa: F401 - a scenario imports it with its data, which must not happen when memory is scarce

from clients.app import serve_cohort
from scenarios.runs.experiment import simulated


def deadly(asked):
    """Client 2 takes its worker with it."""
    if 3 in asked.nodes:
        os._exit(9)
    return serve_cohort(asked)


def deadly_trial(trial):
    """One variant takes its worker with it."""
    if trial.variant == "deadly":
        os._exit(9)
    return simulated(trial)


def slow(asked):
    """A second before each answer, in which a worker can be killed."""
    time.sleep(1)
    return serve_cohort(asked)


def hungry(asked):
    """Memory for two members of a cohort, and for no more."""
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + 250 * 2**20, resource.RLIM_INFINITY))
    try:
        bytearray(100 * 2**20 * len(asked.nodes))
        return serve_cohort(asked)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
