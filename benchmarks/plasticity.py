"""Do the measures of plasticity say how many steps a fresh task will take?

    python -m benchmarks.plasticity --tasks labels

Networks learn one task after another on handwritten digits, at several learning rates. At many stages each is measured
on the samples that it has just learned, and a copy of it then learns a task that nobody has seen, at one rate for all,
until its loss is below a threshold. Each measure is ranked against the steps that this took (Spearman), with intervals
of 95 % from seeds drawn again. Networks are also ranked among those of the same stage alone, and of the same stage and
rate: so that a measure which merely tells the time, or the rate, gains nothing by that. Last, the same networks learn
the same fresh tasks after their dormant units have begun anew.
"""

import argparse
import json
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from sklearn.datasets import load_digits
from torch import Tensor

from benchmarks.plasticity_measures import drawn, evidence, weight_rank
from federation.models import Mlp
from federation.models.family import written_out
from federation.models.redo import renewed
from federation.randomness import torch_generator
from federation.tasks import Classification
from federation.tensors import stacked
from scenarios.runs.statistics import mean_interval

FAMILY, TASK = Mlp(width=32, blocks=1), Classification(input_shape=(64,), outputs=10)
RATES = (0.05, 0.2, 0.5)
ROWS, STEPS, BATCH = 200, 300, 50
STAGES = ((0, 0), (1, 30), (1, 300), (3, 300), (6, 300), (12, 300), (25, 300))
"""When networks are measured: in which task, counted from one, and after how many of its steps; (0, 0): untrained."""
FRESH_RATE, THRESHOLD, MOST = 0.2, 0.5, 1200
"""The rate of the fresh task, the loss in nats at which it is learned, and the steps after which nobody waits."""
RESAMPLED = 1000

Models = dict[str, Tensor]
Data = tuple[Tensor, Tensor]
"""Inputs [runs, ROWS, 64] and labels [runs, ROWS]."""
Table = NDArray[np.float64]
"""[stages, seeds, rates]."""


def main() -> None:
    """Run, and print one line of JSON."""
    asked = _arguments()
    torch.set_num_threads(1)
    table = observed(asked.tasks, asked.seeds, asked.stages)
    steps, anew = table.pop("steps"), table.pop("steps anew")
    unlearned = {name: round(float((s >= MOST).mean()), 3) for name, s in (("as is", steps), ("anew", anew))}
    line = {"tasks": asked.tasks, "seeds": asked.seeds, "rates": RATES, "unlearned": unlearned}
    line |= {"steps": steps.mean((1, 2)).round(1).tolist()}
    line |= {"saved_anew": [_rounded(mean_interval(stage.mean(1))) for stage in steps - anew]}
    line |= {"dormant": table["dormant_share"].mean((1, 2)).round(3).tolist()}
    print(json.dumps(line | {"measures": {name: predicts(values, steps) for name, values in table.items()}}))


def _rounded(interval: dict[str, Any]) -> dict[str, Any]:
    return {name: np.round(value, 1).tolist() for name, value in interval.items() if value is not None}


def observed(kind: str, seeds: int, stages: int) -> dict[str, Table]:
    """Each measure, and the steps that the fresh task took."""
    runs = len(RATES) * seeds
    rates = torch.tensor(RATES).repeat(seeds)
    models: Models = stacked([FAMILY.init(TASK, torch_generator(run, "init")) for run in range(runs)])
    rows: list[dict[str, Tensor]] = []
    for task, (start, until) in _pieces(stages):
        data = tasks(kind, runs, max(task, 1))
        if task:
            models = learned(models, data, rates, start, until, task)
        if (task, until) in STAGES[:stages]:
            fresh = tasks(kind, runs, 1000 + task)
            steps = {
                "steps": steps_to_learn(models, fresh),
                "steps anew": steps_to_learn(begun_anew(models, data), fresh),
            }
            rows.append(measured(models, data) | {name: s.double() for name, s in steps.items()})
    return {name: torch.stack([row[name] for row in rows]).view(-1, seeds, len(RATES)).numpy() for name in rows[0]}


def _pieces(stages: int) -> list[tuple[int, tuple[int, int]]]:
    """Each task with the steps, from and until, between which networks are looked at."""
    pieces: list[tuple[int, tuple[int, int]]] = [(0, (0, 0))]
    for task in range(1, STAGES[stages - 1][0] + 1):
        stops = sorted({0, STEPS} | {step for at, step in STAGES[:stages] if at == task})
        pieces += [(task, between) for between in pairwise(stops)]
    return pieces


def tasks(kind: str, runs: int, number: int) -> Data:
    """Each run's own task: 200 digits with random labels, or true ones after the pixels have changed places."""
    images, labels = load_digits(return_X_y=True)
    pixels, classes = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    inputs, targets = [], []
    for run in range(runs):
        draw = torch_generator(run, "task", kind, number)
        chosen = torch.randperm(len(pixels), generator=draw)[:ROWS]
        if kind == "labels":
            inputs.append(pixels[chosen])
            targets.append(torch.randint(10, (ROWS,), generator=draw))
        else:
            inputs.append(pixels[chosen][:, torch.randperm(64, generator=draw)])
            targets.append(classes[chosen])
    return torch.stack(inputs), torch.stack(targets)


def learned(models: Models, data: Data, rates: Tensor, start: int, until: int, task: int) -> Models:
    """The models after these steps of stochastic gradient descent."""
    for step in range(start, until):
        batch = torch.randint(ROWS, (BATCH,), generator=torch_generator(step, "batch", task))
        models = stepped(models, (data[0][:, batch], data[1][:, batch]), rates)[0]
    return models


def stepped(models: Models, data: Data, rates: Tensor) -> tuple[Models, Tensor]:
    """The models a step further, and their mean losses before it."""
    outputs, vjp = FAMILY.vjp(models, data[0])
    losses, gradients = TASK.gradients(outputs, data[1])
    along = {name: written_out(gradient) for name, gradient in vjp(gradients / gradients.shape[1]).items()}
    further = {name: t - rates.view(-1, *[1] * (t.dim() - 1)) * along[name] for name, t in models.items()}
    return further, losses.mean(1)


def steps_to_learn(models: Models, data: Data) -> Tensor:
    """Full steps until the loss is below the threshold; MOST where it never is."""
    runs = len(data[0])
    steps, rates = torch.full((runs,), MOST), torch.full((runs,), FRESH_RATE)
    for step in range(MOST):
        models, losses = stepped(models, data, rates)
        steps = torch.where((losses < THRESHOLD) & (steps == MOST), step, steps)
        if bool((steps < MOST).all()):
            break
    return steps


def begun_anew(models: Models, data: Data) -> Models:
    """The models after ReDo."""
    layers = evidence(FAMILY, TASK, models, *data).layers
    dormant = {name: sums.dormant() for name, sums in layers.items()}
    return renewed(FAMILY, TASK, models, dormant, torch_generator(0, "dormant"))


def measured(models: Models, data: Data) -> dict[str, Tensor]:
    """Each measure of each run, on the samples of its own task."""
    targets = drawn(TASK, FAMILY.apply(models, data[0]), torch_generator(0, "drawn"))
    seen, data_seen = (evidence(FAMILY, TASK, models, data[0], labels) for labels in (targets, data[1]))
    last = f"block{FAMILY.blocks - 1}"
    return {
        "dormant_share": seen.dormant_share(),
        "activation_rank": seen.layers[last].rank(),
        "weight_rank": weight_rank(models[f"{last}.weight"]),
        "fisher_trace": seen.fisher_trace(),
        "capacity": seen.capacity(),
        "empirical_fisher": data_seen.fisher_trace(),
        "weight_norm": torch.stack([t.flatten(1).square().sum(1) for t in models.values()]).sum(0).double(),
    }


def predicts(measure: Table, steps: Table) -> dict[str, dict[str, object]]:
    """Spearman's correlation of a measure with the steps, compared in each of the ways, with its bootstrap interval."""
    draw = np.random.default_rng(0)
    again = [draw.integers(steps.shape[1], size=steps.shape[1]) for _ in range(RESAMPLED)]
    found: dict[str, dict[str, object]] = {}
    for name, ranks in COMPARED.items():
        low, high = np.quantile([_correlation(ranks(measure[:, s]), ranks(steps[:, s])) for s in again], [0.025, 0.975])
        rho = _correlation(ranks(measure), ranks(steps))
        found[name] = {"rho": round(rho, 3), "ci95": [round(float(low), 3), round(float(high), 3)]}
    return found


COMPARED: dict[str, Callable[[Table], Table]] = {
    "all": lambda values: stats.rankdata(values),
    "same stage": lambda values: stats.rankdata(values.reshape(len(values), -1), axis=1),
    "same stage and rate": lambda values: stats.rankdata(values, axis=1),
}
"""Which networks are compared with one another: ranks of a table."""


def _correlation(one: Table, other: Table) -> float:
    """Of two tables of ranks; zero where one has nothing but ties."""
    return 0.0 if one.std() == 0 or other.std() == 0 else float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def _arguments() -> SimpleNamespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plasticity", description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", choices=("labels", "pixels"), default="labels")
    parser.add_argument("--seeds", type=int, default=8, help="runs at each rate")
    parser.add_argument("--stages", type=int, default=len(STAGES), help="how many of the stages")
    return SimpleNamespace(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
