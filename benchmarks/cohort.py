"""Our engine on the speed workload, by the path that a user gets: ServerApp's strategy, CohortGrid, Ray.

python -m benchmarks.cohort --clients 1000 --rounds 5 --workload mlp
"""

import argparse
import json
import logging
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp.strategy import FedAvg

from benchmarks import untrained
from benchmarks.workload import SAMPLES, Memory, report, resident
from federation.engine import LocalGrid
from federation.opening import Opened, open_run, run_config
from federation.randomness import torch_generator
from federation.wire.records import to_arrays
from scenarios.runs.engines import Engine
from server.strategy import ManifoldStrategy


@dataclass(frozen=True)
class Watched:
    """Seconds and multiply-adds of each round's forward passes, and MiB of all processes after it."""

    seconds: list[float]
    multiplies: list[float]
    memory: list[int]


def main() -> None:
    """Run and print one line of JSON."""
    asked = _arguments()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    began, scenario = time.perf_counter(), Path(__file__).with_name(f"{asked.workload}.py")
    config = run_config(str(scenario), {"partition.clients": asked.pool or asked.clients}, seed=0)
    opened = open_run(config)
    clients, engine = len(opened.federation().clients), _engine(asked)
    cohort = asked.cohort or engine.cohort(opened)
    grid = engine.grid(clients, config, cohort=cohort)
    startup = time.perf_counter() - began
    run = manifold if asked.workload == "mixed" else fedavg
    with Memory() as most:
        watched = run(grid, opened, asked.clients, asked.rounds + 1)
    flops = [6 * multiplies / s for multiplies, s in zip(watched.multiplies, watched.seconds, strict=True)]
    report(
        "manifold, untrained" if asked.untrained else "manifold",
        asked.workload,
        asked.clients,
        watched.seconds[1:],
        startup,
        gflops=round(statistics.median(flops[1:]) / 1e9, 2),
        first_round_s=round(watched.seconds[0], 2),
        pool=clients,
        cohort=cohort,
        workers=asked.workers,
        peak_rss_mb=most.peak,
        rss_mb_by_round=watched.memory,
    )


def fedavg(grid: LocalGrid, opened: Opened, clients: int, rounds: int) -> Watched:
    """Flower's FedAvg, which asks `clients` of the pool in each round."""
    family, pool, marks = opened.scenario.model, opened.federation(), [0.0]
    seconds: list[float] = []
    memory: list[int] = []

    def mark(number: int, arrays: ArrayRecord) -> MetricRecord | None:
        if number:
            seconds.append(time.perf_counter() - marks[-1])
            memory.append(resident())
        marks.append(time.perf_counter())
        return None

    strategy = FedAvg(
        fraction_train=clients / len(pool.clients),
        fraction_evaluate=0.0,
        min_train_nodes=clients,
        min_available_nodes=clients,
    )
    rate, model = opened.scenario.local.learning_rate, json.dumps(family.dump())
    strategy.start(
        grid,
        to_arrays(family.init(pool.task, torch_generator(0, "prior"))),
        num_rounds=rounds,
        train_config=ConfigRecord({"learning-rate": rate, "rounds": rounds, "model": model}),
        evaluate_fn=mark,
    )
    return Watched(seconds, [float(clients * SAMPLES * family.multiplies(pool.task))] * rounds, memory)


def manifold(grid: LocalGrid, opened: Opened, clients: int, rounds: int) -> Watched:
    """Our strategy's rounds of the foundation prior, after that of the encoder."""
    memory: list[int] = []
    strategy = ManifoldStrategy(
        opened.scenario, opened.federation().task, clients, lambda record, state: memory.append(resident())
    )
    strategy.start(grid, ArrayRecord(), num_rounds=1 + rounds)
    prior = strategy.history[1:]
    return Watched([record.seconds for record in prior], [record.multiplies for record in prior], memory[1:])


def _engine(asked: SimpleNamespace) -> Engine:
    if asked.untrained:
        return Engine(workers=asked.workers, app=untrained.serve)
    return Engine(workers=asked.workers)


def _arguments() -> SimpleNamespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cohort", description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=1_000, help="clients of a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one that does not")
    parser.add_argument("--workload", choices=("mlp", "convnet", "mixed"), default="mlp")
    parser.add_argument("--pool", type=int, help="clients of the whole federation; default those of a round")
    parser.add_argument("--workers", type=int, help="Ray processes; default one a processor, 0 for this process")
    parser.add_argument("--cohort", type=int, help="most clients trained at once; default what fits the cache")
    parser.add_argument("--untrained", action="store_true", help="leave the training out: what is left is overhead")
    return SimpleNamespace(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
