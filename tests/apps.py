"""Cohort apps and trials with faults, in a module that worker processes can import."""

import os
import resource
import time

import psutil
import sklearn.datasets  # noqa: F401 - a scenario imports it with its data, which must not happen when memory is scarce

from clients.app import serve_cohort
from federation.wire.records import Order
from scenarios.runs.experiment import simulated


def deadly_trial(trial):
    """One variant takes its worker with it."""
    if trial.variant == "deadly":
        os._exit(9)
    return simulated(trial)


def troubled(asked):
    """What is asked, but an order's settings may make it `slow`, so that its worker can be killed before it answers, or
    `deadly`: client 2 takes its worker with it. Where they make it `hungry`, there is memory for a cohort of two."""
    settings = Order.from_record(asked.bodies[0]).settings
    if "slow" in settings:
        time.sleep(1)
    if "deadly" in settings and 3 in asked.nodes:
        os._exit(9)
    if "hungry" not in settings:
        return serve_cohort(asked)
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + 250 * 2**20, resource.RLIM_INFINITY))
    try:
        bytearray(100 * 2**20 * len(asked.nodes))
        return serve_cohort(asked)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
