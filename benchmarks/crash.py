"""Kill a simulation at random moments, go on with it, and compare the result with that of an undisturbed run.

    python -m benchmarks.crash --kills 50

Each run is a process of its own, killed by SIGKILL, which nothing can catch. Prints one line of JSON.
"""

import contextlib
import json
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from federation.opening import open_run, open_scenario, run_config
from federation.randomness import generator
from scenarios.commands.cli import main
from scenarios.runs.journal import CHECKPOINTS
from server.checkpoint import Checkpoints

SCENARIO = ("digits", "--workers", "0", "--set", "partition.clients=5", "--set", "local.epochs=1")
COUNTED = ("same", "different", "damaged", "before_first_checkpoint", "too_late")
ROUNDS = ("prior", "experts", "head", "router")


def child(*arguments: str) -> int:
    """A process that runs a command of ours; everything is imported and loaded in it already."""
    if process := os.fork():
        return process
    status = 1
    with contextlib.suppress(BaseException), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        try:
            main([*arguments, "--quiet"])
        except SystemExit as done:
            status = done.code if isinstance(done.code, int) else 1
    os._exit(status)


def finished(process: int) -> bool:
    """Whether a process came to its end alone."""
    _, status = os.waitpid(process, 0)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0


def result(folder: Path) -> dict[str, Any]:
    """All that a run gives, but for the time that it took."""
    rounds = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "scores": json.loads((folder / "simulation.json").read_text()),
        "rounds": [{name: value for name, value in record.items() if name != "seconds"} for record in rounds],
        "weights": (folder / "world_model.safetensors").read_bytes(),
        "design": (folder / "world_model.json").read_text(),
    }


def damaged(folder: Path, settings: dict[str, Any]) -> int:
    """Checkpoints that cannot be read."""
    bad = 0
    for seed in (folder / CHECKPOINTS).glob("seed-*"):
        checkpoints = Checkpoints(seed, open_scenario("digits", settings).scenario)
        for rounds in checkpoints.rounds:
            try:
                checkpoints.read(rounds)
            except ValueError:
                bad += 1
    return bad


def crash(
    kills: Annotated[int, typer.Option(min=1)] = 50,
    rounds: Annotated[int, typer.Option(min=1, help="of each phase")] = 10,
    seed: int = 0,
) -> None:
    """Count how many killed runs come to the undisturbed result."""
    torch.set_num_threads(1)
    settings = {"partition.clients": 5, "local.epochs": 1, **{f"{phase}.rounds": rounds for phase in ROUNDS}}
    open_run(run_config("digits", settings, 0)).federation()  # so that hardly any time passes before the first round
    phases = [word for phase in ROUNDS for word in ("--set", f"{phase}.rounds={rounds}")]
    draw, counts = generator(seed, "crash"), dict.fromkeys(COUNTED, 0)
    with tempfile.TemporaryDirectory() as place:
        whole, began = Path(place, "whole"), time.monotonic()
        if not finished(child("simulate", *SCENARIO, *phases, "--out", str(whole))):
            raise RuntimeError("the undisturbed run failed")
        expected, takes = result(whole), time.monotonic() - began
        while sum(counts[name] for name in ("same", "different")) < kills:
            folder, moment = Path(place, str(sum(counts.values()))), draw.uniform(0.0, takes)
            process = child("simulate", *SCENARIO, *phases, "--out", str(folder))
            time.sleep(moment)
            os.kill(process, signal.SIGKILL)
            if finished(process) or (folder / "simulation.json").exists():
                counts["too_late"] += 1
                takes = moment  # the machine has become faster, and this was no kill
                continue
            if not (folder / "config.json").exists():  # killed before there was anything to go on with
                counts["before_first_checkpoint"] += 1
                finished(child("simulate", *SCENARIO, *phases, "--out", f"{folder}-again"))
                folder = Path(f"{folder}-again")
            else:
                counts["before_first_checkpoint"] += not any((folder / CHECKPOINTS).glob("*/round-*"))
                counts["damaged"] += damaged(folder, settings)
                finished(child("resume", str(folder)))
            counts["same" if result(folder) == expected else "different"] += 1
    print(json.dumps({"benchmark": "crash", "kills": kills, "seconds_undisturbed": round(takes, 2), **counts}))


if __name__ == "__main__":
    typer.run(crash)
