"""Our engine on the speed workload, by the path that a user gets: ServerApp's strategy, CohortGrid, Ray.

python -m benchmarks.cohort --clients 1000 --rounds 5 --workload mlp
"""

import argparse
import json
import logging
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp.strategy import FedAvg

from benchmarks.workload import SHAPES, Memory, report, resident
from federation.randomness import torch_generator
from federation.records import to_arrays
from federation.scenario import open_run, run_config
from scenarios.engines import Engine


def main() -> None:
    """Run and print one line of JSON."""
    asked = _arguments()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    began, scenario = time.perf_counter(), Path(__file__).with_name(f"{asked.workload}.py")
    config = run_config(str(scenario), {"partition.clients": asked.pool or asked.clients}, seed=0)
    opened = open_run(config)
    family, pool = opened.scenario.model, opened.federation()
    cohort = asked.cohort or family.cohort
    grid = Engine(workers=asked.workers).grid(len(pool.clients), config, cohort=cohort)
    marks: list[float] = []
    memory: list[int] = []

    def mark(number: int, arrays: ArrayRecord) -> MetricRecord | None:
        memory.append(resident())
        marks.append(time.perf_counter())
        return None

    strategy = FedAvg(
        fraction_train=asked.clients / len(pool.clients),
        fraction_evaluate=0.0,
        min_train_nodes=asked.clients,
        min_available_nodes=asked.clients,
    )
    with Memory() as watched:
        strategy.start(
            grid,
            to_arrays(family.init(pool.task, torch_generator(0, "prior"))),
            num_rounds=asked.rounds + 1,
            train_config=ConfigRecord(
                {
                    "learning-rate": opened.scenario.local.learning_rate,
                    "rounds": asked.rounds + 1,
                    "model": json.dumps(family.dump()),
                }
            ),
            evaluate_fn=mark,
        )
    seconds = [after - before for before, after in pairwise(marks)]
    report(
        "manifold",
        asked.workload,
        asked.clients,
        seconds[1:],
        marks[0] - began,
        first_round_s=round(seconds[0], 2),
        pool=len(pool.clients),
        cohort=cohort,
        workers=asked.workers,
        peak_rss_mb=watched.peak,
        rss_mb_by_round=memory[1:],
    )


def _arguments() -> SimpleNamespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cohort", description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=1_000, help="clients of a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one that does not")
    parser.add_argument("--workload", choices=sorted(SHAPES), default="mlp")
    parser.add_argument("--pool", type=int, help="clients of the whole federation; default those of a round")
    parser.add_argument("--workers", type=int, help="Ray processes; default one a processor, 0 for this process")
    parser.add_argument("--cohort", type=int, help="clients trained at once; default the family's")
    return SimpleNamespace(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
