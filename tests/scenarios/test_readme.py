"""Every command of the README works, at a small size; its Python does, too."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from scenarios.commands.cli import main
from tests.raw import frame, written
from tests.small import ROUNDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("manifold ") and not line.startswith("manifold deploy ")]
"""Those of deployments are run against a real one, in tests/deployment/test_processes.py."""
SHRUNK = {name: value for name, value in ROUNDS.items() if not name.startswith("partition")} | {"data.limit": 300}
DATA = os.environ.get("MANIFOLD_DATA", str(ROOT.parent / "shared" / "data"))


def run(arguments):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    return exit_.value.code


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.normal(size=(400, 5)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    written(frame(), Path("mine.csv"))
    np.savez("mine.npz", x_train=x[:300], y_train=y[:300], x_test=x[300:], y_test=y[300:])
    Path("my_scenario.py").write_text("from scenarios.library.digits import SCENARIO, load\n", encoding="utf-8")


def small(command):
    """The README's command with few rounds and few samples, its data where they are here."""
    words = [DATA if word == "../shared/data" else word for word in shlex.split(command)[1:]]
    if words[0] in ("simulate", "compare", "cap", "drift", "ablate", "sweep"):
        words += [w for name, value in SHRUNK.items() for w in ("--set", f"{name}={value}")]
        words += ["--quiet", "--out", "runs/mine"]
        words += ["--methods", "world,central"] if words[0] == "compare" and "--methods" not in words else []
        words += ["--parts", "head"] if words[0] == "ablate" else []
        few = {"--seeds": "1", "--rounds": "3"}
        words = [few.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    if words[0] in ("simulate", "compare", "cap", "drift") and "--workers" not in words:
        words += ["--workers", "0"]
    if "fashion" in words or "domains" in words:
        words += ["--set", "model.channels=[2, 2, 2]", "--set", "data.limit=1000", "--set", "local.batch_size=50"]
    if "fashion" in words:
        words += ["--set", "partition.clients=4", "--set", "encoder.dimensions=4", "--set", "head.hidden=8"]
    if "digits" in words or "./my_scenario.py" in words:
        words += ["--set", "data.limit=1400", "--set", "partition.clients=8"] if words[0] != "show" else []
    if words[0] in ("ablate", "sweep"):
        words += ["--workers", "0", "--set", "data.limit=300", "--set", "partition.clients=3"]
    return words


def test_the_readme_shows_commands():
    assert len(COMMANDS) >= 10


@pytest.mark.parametrize("command", [c for c in COMMANDS if "runs/mine" not in c])
def test_a_command_of_the_readme_works(command):
    words = small(command)
    if DATA in words and not Path(DATA).is_dir():
        pytest.skip(f"no data files in {DATA}")
    assert run(words) == 0


def test_a_report_is_drawn_again_and_the_world_model_answers_in_three_lines():
    assert run(small("manifold compare digits --methods world,central")) == 0
    assert run(["report", "runs/mine"]) == 0
    [python] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {"inputs": torch.zeros(2, 64)}
    exec(python, names)
    assert names["probabilities"].shape == (2, 10)


def test_a_sweep_is_resumed():
    assert "manifold sweep --resume runs/mine" in COMMANDS
    assert run(small("manifold sweep digits --set charts.rank=1,2")) == 0
    assert run(["sweep", "--resume", "runs/mine", "--workers", "0"]) == 0


def test_a_run_is_resumed(monkeypatch, capsys):
    assert "manifold resume runs/mine" in COMMANDS
    with monkeypatch.context() as patched:
        patched.setattr("scenarios.commands.jobs.Simulate.run", _stopped)
        assert run(small("manifold simulate digits")) != 0
    assert "manifold resume runs/mine goes on" in capsys.readouterr().err
    assert run(["resume", "runs/mine"]) == 0


def _stopped(*arguments):
    raise KeyboardInterrupt


@pytest.mark.parametrize("target", ["demo", "test", "test-slow", "lint"])
def test_make_knows_the_target(target):
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
