"""From which size of a training step on a second thread is worth having.

python -m benchmarks.threads
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from itertools import product

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it
import torch

from clients.model_training import supervised
from clients.training import batches, train
from federation.models import Convnet, ElasticFamily, Mlp
from federation.randomness import torch_generator
from federation.settings import LocalTraining
from federation.tasks import Classification, Task
from federation.tensors import stacked

FLAT = Classification(input_shape=(64,), outputs=10)
IMAGES = Classification(input_shape=(1, 28, 28), outputs=10)
CASES: list[tuple[ElasticFamily, Task, int]] = [
    *((Mlp(width=width, blocks=1), FLAT, 32) for width in (16, 64, 256, 1024)),
    *((Convnet(channels=(c, 2 * c, 2 * c), blocks=0), IMAGES, batch) for c in (3, 9, 28) for batch in (5, 50)),
]
"""Families, what they answer, and the samples of a client in a step."""


def main() -> None:
    """Print a row a case: multiply-adds of a step's forward pass, its microseconds with one and with more threads."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--threads", type=int, default=2)
    asked.add_argument("--clients", type=int, nargs="+", default=[1, 4, 20], help="that are trained at once")
    asked.add_argument("--samples", type=int, default=200, help="of a client")
    asked.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    asked.add_argument("--json", action="store_true", help="lines of JSON")
    options = asked.parse_args()
    for (family, task, batch), clients in product(CASES, options.clients):
        work = _work(family, task, batch, clients, options.samples)
        one, more = micros(work, options.threads, options.seconds)
        row = {
            "family": family.kind(),
            "parameters": family.parameters(task),
            "clients": clients,
            "batch": batch,
            "multiplies": family.multiplies(task) * clients * batch,
            "us_one": round(one),
            "us_more": round(more),
            "gain": round(one / more, 2),
        }
        print(json.dumps(row) if options.json else "  ".join(f"{n} {value}" for n, value in row.items()), flush=True)


def micros(steps: Callable[[], int], threads: int, seconds: float) -> tuple[float, float]:
    """A step's time with one thread and with several: the better of two measurements of each, in turn."""
    found: dict[int, list[float]] = {1: [], threads: []}
    for count in (1, threads) * 2:
        torch.set_num_threads(count)
        steps()  # the first ones warm up
        done, began = 0, time.perf_counter()
        while not done or time.perf_counter() - began < seconds:
            done += steps()
        found[count].append(1e6 * (time.perf_counter() - began) / done)
    return min(found[1]), min(found[threads])


def _work(family: ElasticFamily, task: Task, batch: int, clients: int, samples: int) -> Callable[[], int]:
    """One epoch of a cohort, which gives the number of its steps."""
    draw, local = torch_generator(0, "benchmark of threads"), LocalTraining(batch_size=batch, epochs=1)
    start = stacked([family.init(task, draw)] * clients)
    inputs = torch.randn(samples, *task.input_shape, generator=draw)
    targets = torch.randint(task.outputs, (samples,), generator=draw)
    plan = batches([samples] * clients, local, 0, ("benchmark",), range(clients))
    columns = [inputs] * clients, [targets] * clients

    def epoch() -> int:
        train(start, supervised(family, task), columns, plan, local, 0.01)
        return plan.epoch

    return epoch


if __name__ == "__main__":
    main()
