"""Each site reads a file of its own and no other, and the world model is that of the simulation on the whole data."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from clients.app import app
from federation.data.sites import OWN, TEST
from federation.engine import SerialGrid
from federation.opening import open_run, run_config
from federation.rules import InputError
from scenarios.commands.cli import main
from scenarios.deployment.check import problems
from scenarios.deployment.init import initialise
from scenarios.deployment.layout import Layout
from scenarios.deployment.own_data import agreed, complete, undistributed
from scenarios.deployment.submission import configured, prepared
from scenarios.deployment.up import run_here
from scenarios.library import digits
from scenarios.runs.engines import HERE
from server.app import federate, verdict
from tests.small import ROUNDS

SITES = 3
WHOLE = ROUNDS | {"partition.clients": SITES, "charts.min_count": 10}
TRAINING = {name: value for name, value in ROUNDS.items() if not name.startswith("partition")}


def status(*words):
    with pytest.raises(SystemExit) as exit_:
        main(["deploy", *map(str, words)])
    return exit_.value.code


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """A deployment over whose sites digits are split. Tests that change it take a copy."""
    layout = initialise(tmp_path_factory.mktemp("own") / "fleet", SITES)
    assert status("split", layout.root, "digits") == 0
    return layout


@pytest.fixture
def copy(fleet, tmp_path):
    shutil.copytree(fleet.root, tmp_path / "fleet")
    return Layout(tmp_path / "fleet", fleet.description)


@pytest.fixture(scope="module")
def simulated():
    """The simulation on the whole data set."""
    config = run_config("digits", WHOLE, 0)
    opened = open_run(config)
    return federate(HERE.grid(SITES, config), opened.scenario, opened.federation().task, SITES).world


class Apart(SerialGrid):
    """Clients with run configurations of their own, as if each were elsewhere."""

    def __init__(self, config_of):
        super().__init__(app, len(config_of), config_of[0])
        self.config_of = config_of

    def context(self, node):
        context = super().context(node)
        context.run_config = self.config_of[node - 1]
        return context


def at(layout, folder):
    """The run configuration of a place that has this folder alone."""
    chosen = configured(layout, "digits", TRAINING)
    return run_config("digits", chosen | {"data.dir": str(folder)}, 0)


# --- parity ----------------------------------------------------------------------------------------------------------


def test_sites_that_have_their_own_files_alone_make_the_world_model_of_the_simulation(
    copy, simulated, tmp_path, monkeypatch
):
    monkeypatch.setattr(digits, "load", lambda settings, seed: pytest.fail("the whole data set was asked for"))
    configs = []
    for site in copy.sites:
        alone = tmp_path / f"machine-{site.number}"
        shutil.move(site.data, alone)
        configs.append(at(copy, alone))
    server = open_run(at(copy, copy.server_data))
    outcome = federate(Apart(configs), server.scenario, server.federation().task, SITES)
    made = outcome.world.tensors()
    assert made.keys() == simulated.tensors().keys()
    for name, tensor in simulated.tensors().items():
        torch.testing.assert_close(made[name], tensor, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    data = server.federation()
    said = verdict(outcome, data)
    assert said.startswith("union accuracy 0.")
    assert all(f"{name} 0." in said for name in ("balanced accuracy", "f1", "auroc", "average precision"))
    reported = [record.held_out for record in outcome.history if record.held_out is not None]
    assert verdict(outcome, replace(data, union_test=data.union_test.take(np.arange(0)))) == (
        f"no test set here; clients report accuracy {reported[0]:.4f} on what they hold out"
    )


def test_sites_step_down_a_loss_that_the_operator_names_and_choose_their_own_samples():
    given = {"data.loss": "mine:pinball", "data.limit": 3, "partition.clients": 2, "prior.rounds": 2}
    assert undistributed(given) == {"data.loss": "mine:pinball", "prior.rounds": 2}


def test_a_site_without_its_file_is_missed_and_named(copy):
    (copy.sites[1].data / OWN).unlink()
    opened = open_run(at(copy, copy.server_data))
    grid = Apart([at(copy, site.data) for site in copy.sites])
    history = federate(grid, opened.scenario, opened.federation().task, SITES).history
    assert all(record.answered == SITES - 1 for record in history)
    assert "no data file" in history[0].refused[0]
    assert f"site-1/{OWN}" in history[0].refused[0]


# --- what is split, and what is agreed on ----------------------------------------------------------------------------


def test_each_folder_holds_one_file_and_the_server_s_its_test_set(fleet):
    files = {path.relative_to(fleet.root / "data").as_posix() for path in fleet.root.rglob("*.npz")}
    assert files == {f"server/{TEST}", *(f"site-{number}/{OWN}" for number in range(SITES))}
    known = agreed(fleet)
    assert (known.scenario, known.overrides, known.seed) == ("digits", {"partition.clients": SITES}, 0)
    assert known.task == open_run(run_config("digits", WHOLE, 0)).federation().task
    assert problems(fleet) == []


def test_nothing_is_split_twice_or_over_another_number_of_sites(fleet, tmp_path, capsys):
    assert status("split", fleet.root, "digits") == 2
    assert "task.json exists already; split into a new deployment" in capsys.readouterr().err
    other = initialise(tmp_path / "other", 2)
    assert status("split", other.root, "digits", "--set", "partition.clients=5") == 2
    assert not list(other.root.rglob("*.npz"))


@pytest.mark.parametrize("words", [["--set", "partition.alpha=1.0"], ["--set", "data.limit=9"]])
def test_a_run_on_the_sites_own_files_distributes_nothing(fleet, words, capsys):
    assert status("run", fleet.root, "digits", *words) == 2
    assert f"{words[1].split('=')[0]}: the sites of" in capsys.readouterr().err


def test_files_that_were_split_serve_no_other_scenario(fleet):
    with pytest.raises(InputError, match="were split from digits; piecewise needs others"):
        prepared(fleet, "piecewise", {}, 0)


def test_a_site_brings_a_file_of_its_own_to_any_scenario_that_can_read_it(tmp_path):
    layout = initialise(tmp_path / "fleet", 1)
    assert status("task", layout.root, "--shape", "1,28,28", "--classes", "10") == 0
    assert prepared(layout, "fashion", {}, 0).overrides["data.sites"]["task"]["input_shape"] == [1, 28, 28]
    flat = initialise(tmp_path / "flat", 1)
    assert status("task", flat.root, "--shape", "64", "--classes", "10") == 0
    with pytest.raises(InputError, match="a convnet needs inputs"):
        configured(flat, "fashion", {})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shape", "1,x", "--classes", "3"], "expected whole numbers with commas"),
        (["--shape", "4"], "expected either --classes"),
        (["--shape", "4", "--classes", "3", "--values", "1"], "expected either --classes"),
    ],
)
def test_a_task_that_is_none_is_refused(tmp_path, words, said, capsys):
    layout = initialise(tmp_path / "fleet", 1)
    assert status("task", layout.root, *words) == 2
    assert said in capsys.readouterr().err
    assert not layout.task.exists()


# --- check -----------------------------------------------------------------------------------------------------------


def test_check_names_each_file_that_does_not_fit(copy):
    np.savez(copy.sites[0].data / OWN, x_train=np.zeros((3, 5)), y_train=[0, 1, 2])
    (copy.sites[1].data / OWN).write_text("nonsense")
    np.savez(copy.server_data / TEST, x_test=np.zeros((3, 64)), y_test=[0, 1, 12])
    found = problems(copy)
    assert ["server/test.npz" in found[0], f"site-0/{OWN}" in found[1], f"site-1/{OWN}" in found[2]] == [True] * 3
    assert len(found) == 3
    copy.task.write_text(json.dumps({"task": 7}))
    assert "write it by `manifold deploy task` or `split`" in problems(copy)[0]


def test_check_says_whose_samples_are_elsewhere(copy, capsys):
    (copy.sites[2].data / OWN).unlink()
    assert status("check", copy.root) == 0
    assert "all good; the samples of site-2 are not on this machine" in capsys.readouterr().out


def test_without_containers_all_sites_samples_must_be_here(copy, tmp_path):
    assert complete(copy) == copy
    (copy.sites[2].data / OWN).unlink()
    with pytest.raises(InputError, match="site-2 without client.npz"):
        run_here(copy.root, "digits", {}, 0, None, tmp_path / "out", print)
    assert not (tmp_path / "out").exists()
