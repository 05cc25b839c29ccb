"""All contenders in turn, in one go, and what our engine's rate is in units of theirs.

    python -m benchmarks.peers --clients 1000

Only ratios within one run mean anything: a machine's speed drifts.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

RIVALS = {"pytorch-loop": 200, "flower": 200, "pfl-research": 200, "limit": 1_000}
"""Clients a round of each, so that all take about the same time; the rate is what is compared."""


def main() -> None:
    """Run all and print a line of JSON each, then one of ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=1_000, help="clients of a round of our engine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workload", choices=("mlp", "convnet"), default="mlp")
    asked = parser.parse_args()
    shared = ["--workload", asked.workload, "--rounds", str(asked.rounds)]
    ours = ["benchmarks.cohort", *shared, "--clients", str(asked.clients)]
    lines = {"manifold": _line(ours), "manifold, one worker": _line([*ours, "--workers", "1"])}
    for name, clients in RIVALS.items():
        if name == "limit" and asked.workload != "mlp":
            continue
        if name == "pfl-research" and importlib.util.find_spec("pfl") is None:
            print("pfl-research: left out, it is not installed; pip install pfl", file=sys.stderr)
            continue
        rival = ["benchmarks.contenders", name, *shared, "--clients", str(clients)]
        lines[name] = _line(rival)
        if name == "pfl-research":
            lines[f"{name}, two processes"] = _line(["torch.distributed.run", "--nproc-per-node", "2", "-m", *rival])
    best = lines["manifold"]["updates_per_s"]
    ratios = {name: round(best / line["updates_per_s"], 2) for name, line in lines.items() if name != "manifold"}
    print(json.dumps({"manifold_over": ratios}), flush=True)


def _line(module: Sequence[str]) -> dict[str, Any]:
    """Run a module in a process of its own, and pass its line on."""
    done = subprocess.run([sys.executable, "-m", *module], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(module)} failed:\n{done.stderr[-2000:]}")
    line = done.stdout.strip().splitlines()[-1]
    print(line, flush=True)
    parsed: dict[str, Any] = json.loads(line)
    return parsed


if __name__ == "__main__":
    main()
