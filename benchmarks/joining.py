"""Two halves of a federation, trained apart and then joined, against the same clients trained together.

python -m benchmarks.joining --seeds 3
"""

import argparse
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import torch

from federation.data.samples import FederatedData
from federation.opening import Opened, open_run, run_config
from federation.world.joining import joined
from federation.world_model import WorldModel
from scenarios.runs.engines import HERE
from server.app import federate
from server.history import RoundRecord
from server.state import ServerState, start_of

HALVES = [Path(__file__).parent / "halves" / f"{name}.py" for name in ("first", "second")]
PARTS = ("charts", "head", "mixture")


def main() -> None:
    """Run, and print a line of JSON a seed: accuracy on the union test."""
    asked = _arguments()
    torch.set_num_threads(1)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    for seed in range(asked.seeds):
        together, start = trained("digits", seed)
        halves = [trained(str(half), seed, start)[0] for half in HALVES]
        federation = _opened("digits", seed).federation()
        whole = joined(*halves)
        line = {"seed": seed, "together": accuracy(together, federation), "joined": accuracy(whole, federation)}
        line |= {f"half {n}": accuracy(half, federation) for n, half in enumerate(halves, 1)}
        for part in PARTS:
            line[f"{part} together"] = accuracy(_only(together, part), federation)
            line[f"{part} joined"] = accuracy(_only(whole, part), federation)
        print(json.dumps({name: round(value, 4) for name, value in line.items()}), flush=True)


def trained(reference: str, seed: int, start: ServerState | None = None) -> tuple[WorldModel, ServerState]:
    """A scenario's world model, and the prior and the encoder that it has begun from."""
    opened, begun = _opened(reference, seed), []

    def observe(record: RoundRecord, state: ServerState) -> None:
        if record.phase == "encoder":
            begun.append(start_of(state))

    federation = opened.federation()
    grid = HERE.fresh(run_config(reference, {}, seed))
    outcome = federate(grid, opened.scenario, federation.task, len(federation.clients), observe, start)
    return outcome.world, start or begun[0]


def accuracy(world: WorldModel, federation: FederatedData) -> float:
    """Share of right answers on the union test."""
    with torch.no_grad():
        return federation.task.score(world.predict(federation.union_test.inputs), federation.union_test.targets)


def _only(world: WorldModel, part: str) -> WorldModel:
    """The same, answered by one part alone."""
    design = world.design.model_copy(update={"composition": {part: 1.0}})
    return WorldModel.of(design, world.tensors())


def _opened(reference: str, seed: int) -> Opened:
    return open_run(run_config(reference, {}, seed))


def _arguments() -> SimpleNamespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.joining", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    return SimpleNamespace(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
