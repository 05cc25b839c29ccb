"""The benchmarks run, at the smallest size, and print the line that they promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small import ROUNDS

ROOT = Path(__file__).parents[2]
FIELDS = {"contender", "workload", "clients", "rounds", "updates_per_s", "gflops", "startup_s"}

pytestmark = pytest.mark.slow


def line(*module: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-m", *module], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("workload", ["mlp", "convnet"])
def test_our_engine_prints_its_rate(workload):
    small = ("--clients", "3", "--rounds", "1", "--workers", "0", "--pool", "1000")
    printed = line("benchmarks.cohort", *small, "--workload", workload)
    assert printed.keys() >= FIELDS | {"peak_rss_mb", "pool", "cohort"}
    assert (printed["contender"], printed["clients"], printed["pool"]) == ("manifold", 3, 1000)
    assert printed["updates_per_s"] > 0


def test_our_engine_runs_clients_of_many_sizes():
    printed = line("benchmarks.cohort", "--clients", "12", "--rounds", "1", "--workers", "0", "--workload", "mixed")
    assert printed["gflops"] > 0 < printed["updates_per_s"]


@pytest.mark.parametrize("contender", ["pytorch-loop", "limit"])
def test_contenders_print_theirs(contender):
    printed = line("benchmarks.contenders", contender, "--clients", "2", "--rounds", "1")
    assert printed.keys() >= FIELDS
    assert printed["updates_per_s"] > 0


def test_coupling_prints_every_arm_with_its_difference_to_plain_rounds():
    small = [f"--set={field}={value}" for field, value in {**ROUNDS, "coupling.rounds": 2}.items()]
    printed = line("benchmarks.coupling", "digits", "--seeds", "2", "--strengths", "", "--everywhere", "1", *small)
    assert list(printed["arms"]) == ["0", "1 everywhere"]
    assert printed["arms"]["0"]["seams"]["minus_plain"] == {"mean": 0.0, "ci95": [0.0, 0.0]}
    one, plain = (printed["arms"][name]["union"] for name in ("1 everywhere", "0"))
    apart = [mine - theirs for mine, theirs in zip(one["per_seed"], plain["per_seed"], strict=True)]
    assert one["minus_plain"]["mean"] == pytest.approx(sum(apart) / 2)


def test_routing_says_what_a_query_takes_and_whether_it_asks_the_right_experts():
    printed = line("benchmarks.routing", "--regions", "150", "--latent", "16", "--queries", "64", "--json")
    assert (printed["rule"], printed["regions"]) == ("prototype_retrieval", 150)
    assert printed["us_1"] > printed["us_32"] > 0
    assert printed["gate"] > 0.98


def test_threads_are_compared_at_every_size_of_a_step():
    printed = line("benchmarks.threads", "--clients", "2", "--samples", "50", "--seconds", "0", "--json")
    assert (printed["clients"], printed["batch"], printed["parameters"]) == (2, 50, 48_226)
    assert printed["us_one"] > 0 < printed["us_more"]


def test_joined_halves_are_about_as_good_as_the_same_clients_trained_together():
    printed = line("benchmarks.joining", "--seeds", "1")
    assert printed["joined"] > max(printed["half 1"], printed["half 2"])
    assert abs(printed["joined"] - printed["together"]) < 0.03


def test_killed_simulations_come_to_the_undisturbed_result():
    printed = line("benchmarks.crash", "--kills", "2", "--rounds", "2")
    assert (printed["kills"], printed["same"], printed["damaged"]) == (2, 2, 0)


def test_plasticity_ranks_every_measure_against_the_steps_of_a_fresh_task():
    printed = line("benchmarks.plasticity", "--tasks", "pixels", "--seeds", "3", "--stages", "2")
    assert len(printed["steps"]) == len(printed["saved_anew"]) == len(printed["dormant"]) == 2
    assert printed["unlearned"] == {"as is": 0, "anew": 0}
    measures = printed["measures"]
    assert all(-1 <= found["rho"] <= 1 for ways in measures.values() for found in ways.values())
    assert measures["capacity"]["all"]["rho"] == -measures["fisher_trace"]["all"]["rho"] != 0
