"""Rivals that are trained in this process: where they are FedAvg, and what their papers say of them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from federation.data.partition import Natural
from federation.data.samples import UNKNOWN_CLIENT, Dataset, Samples
from federation.manifold import Chart
from federation.models import Convnet, ElasticFamily, Mlp, Tiers
from federation.opening import Opened, open_run, run_config
from federation.randomness import generator
from federation.scenario import ExpertSettings, HeadSettings, LocalTraining, RouterSettings, Scenario, TrainingPhase
from federation.task import Task
from federation.world_model import Cost
from scenarios.baselines import METHODS, Trial, federated
from scenarios.baselines.central import Central, descended
from scenarios.baselines.contract import Answer, Contender, Method, single_model
from scenarios.baselines.ditto import Ditto, pulled
from scenarios.baselines.fedavg import FedAvg
from scenarios.baselines.fedem import FedEm, responsibilities
from scenarios.baselines.federated import Account, Federated, Round
from scenarios.baselines.fedpft import GAUSSIANS, Draws
from scenarios.baselines.fedrep import FedRep
from scenarios.baselines.fedrolex import FedRolex
from scenarios.baselines.fjord import Fjord
from scenarios.baselines.heterofl import HeteroFl
from scenarios.baselines.ifca import Ifca
from scenarios.baselines.local import Local
from scenarios.baselines.mixture import Mixed
from scenarios.baselines.scaffold import Corrected, Scaffold
from scenarios.baselines.world import run_world
from scenarios.runs.engines import HERE
from scenarios.runs.scoring import on_local, on_union
from scenarios.studies.drift import Continued
from server.aggregation import Mean
from tests.small import ROUNDS

IN_PROCESS = [HeteroFl(), FedRolex(), Fjord(), Scaffold(), Ifca(), FedEm(), FedRep(), Ditto()]
every_rival = pytest.mark.parametrize("method", IN_PROCESS, ids=lambda method: method.name)


def digits(**overrides) -> Trial:
    """The small digits federation; monoliths as large as an expert."""
    config = run_config("digits", ROUNDS | overrides, 0)
    opened = open_run(config)
    size = opened.scenario.model.parameters(opened.federation().task)
    return Trial(opened, HERE.grids(opened, config), size=Cost(size, size, 2 * size))


def federation(
    clients: list[Samples],
    tests: list[Samples],
    rounds: int,
    local: LocalTraining,
    task: Task,
    model: ElasticFamily | None = None,
    **settings: Any,
) -> Trial:
    """A federation of these clients, whose local tests together are the union test."""
    scenario = Scenario(
        name="made",
        title="Made for a test",
        partition=Natural(),
        held_out=0.01,
        model=model or Mlp(width=16, blocks=0),
        local=local,
        aggregation=Mean(),
        prior=TrainingPhase(rounds=rounds),
        experts=ExpertSettings(rounds=0),
        head=HeadSettings(rounds=0),
        router=RouterSettings(rounds=0),
        **settings,
    )
    data = Dataset(
        task=task,
        train=Samples.concatenated(clients),
        test=Samples.concatenated(tests),
        group=np.repeat(np.arange(len(clients)), [len(own) for own in clients]),
        test_group=np.repeat(np.arange(len(tests)), [len(own) for own in tests]),
    )
    size = scenario.model.parameters(task)
    return Trial(Opened(scenario, lambda settings, seed: data), _no_grid, size=Cost(size, size, 2 * size))


def _no_grid():
    raise AssertionError("rivals in this process send no messages")


def answers(answer: Answer, trial: Trial, client: int = UNKNOWN_CLIENT) -> torch.Tensor:
    inputs = trial.federation.union_test.inputs
    return answer(inputs, np.full(len(inputs), client))


def last_state(method: Federated, trial: Trial):
    *_, state = method.states(trial, method.family(trial), Account())
    return state


def first_round(method: Federated, trial: Trial) -> Round:
    return Round(trial, method.family(trial), 0, Account())


# --- special cases ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flower() -> tuple[Trial, Contender]:
    """FedAvg by Flower's own strategy over a grid."""
    trial = digits()
    return trial, FedAvg().run(trial)


REDUCED = {
    "heterofl of full sizes": HeteroFl(),
    "fedrolex of full sizes": FedRolex(),
    "fjord of full sizes": Fjord(),
    "fedavg that goes on, in its first period": Continued(),
    "ifca of one cluster": Ifca(components=1),
    "fedem of one component": FedEm(components=1),
    "fedrep without personal layers": FedRep(personal=()),
    "the global model of ditto": Ditto(),
}


@pytest.mark.parametrize("method", REDUCED.values(), ids=REDUCED.keys())
def test_it_is_flowers_fedavg_in_a_special_case(method, flower):
    trial, expected = flower
    found = method.run(trial)
    torch.testing.assert_close(answers(found.answer, trial), answers(expected.answer, trial), rtol=1e-6, atol=1e-6)
    assert [number for number, _ in found.curve] == [number for number, _ in expected.curve]
    assert [score for _, score in found.curve] == [score for _, score in expected.curve]


def test_its_budget_is_flowers_too(flower):
    trial, expected = flower
    found = HeteroFl().run(trial)
    assert (found.bytes_up, found.bytes_down) == (expected.bytes_up, expected.bytes_down)
    assert found.training_flops == pytest.approx(expected.training_flops)
    assert found.cost == expected.cost


def test_ditto_that_is_pulled_without_end_stays_at_what_it_receives(flower):
    trial, _ = flower
    states = list(Ditto(mu=1e9).states(trial, trial.scenario.model, Account()))
    for client in range(5):
        for name, tensor in states[-2].shared.items():
            torch.testing.assert_close(states[-1].own[client][name], tensor, rtol=1e-6, atol=1e-6)


def test_scaffold_begins_as_fedavg(flower):
    trial = replace(flower[0], share=0.01)
    assert trial.rounds == 1
    expected = answers(HeteroFl().run(trial).answer, trial)
    torch.testing.assert_close(answers(Scaffold().run(trial).answer, trial), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("clients", "epochs"), [(1, 7), (2, 1)], ids=["one client", "one step a round"])
def test_scaffold_is_fedavg_where_nothing_drifts(clients, epochs):
    local = LocalTraining(learning_rate=0.1, batch_size=50, epochs=epochs)
    trial = federation(drifting()[:clients], drifting()[:clients], 5, local, LINE)
    expected = answers(HeteroFl().run(trial).answer, trial)
    torch.testing.assert_close(answers(Scaffold().run(trial).answer, trial), expected, rtol=1e-5, atol=1e-5)


# --- what their papers say -------------------------------------------------------------------------------------------

PLANE = Task(kind="classification", input_shape=(2,), outputs=2)
QUARTERS = Task(kind="classification", input_shape=(2,), outputs=4)
LINE = Task(kind="regression", input_shape=(1,), outputs=1)
BRISK = LocalTraining(learning_rate=0.5, batch_size=10, epochs=2)
CLIENTS = 4


def opposites(seed: int) -> list[Samples]:
    """Clients; even ones call the right half of the plane 1, odd ones the left."""
    draw, clients = torch.Generator().manual_seed(seed), []
    for client in range(CLIENTS):
        points = torch.randn(40, 2, generator=draw)
        clients.append(Samples(points, (points[:, 0] > 0).long() ^ (client % 2)))
    return clients


def renamed(seed: int) -> list[Samples]:
    """Clients, each with its own names for the quarters of the plane."""
    draw, clients = torch.Generator().manual_seed(seed), []
    for client in range(CLIENTS):
        points, names = torch.randn(60, 2, generator=draw), torch.from_numpy(generator(0, client).permutation(4))
        clients.append(Samples(points, names[2 * (points[:, 0] > 0).long() + (points[:, 1] > 0).long()]))
    return clients


def drifting() -> list[Samples]:
    """Two clients with unequal lines through unequal inputs."""
    narrow, wide = torch.linspace(0.1, 1, 20).unsqueeze(1), torch.linspace(-3, 3, 20).unsqueeze(1)
    return [Samples(narrow, 2 * narrow), Samples(wide, -0.5 * wide)]


def scores(method: Method, trial: Trial) -> tuple[float, float | None]:
    trained = method.run(trial)
    return on_union(trained, trial.federation), on_local(trained, trial.federation)


@pytest.fixture(scope="module")
def two_populations() -> Trial:
    local = LocalTraining(learning_rate=1.0, batch_size=20, epochs=1)
    return federation(opposites(0), opposites(1), 16, local, PLANE)


def test_one_model_for_two_opposite_populations_is_at_chance(two_populations):
    union, local = scores(HeteroFl(), two_populations)
    assert union == pytest.approx(0.5, abs=0.1)
    assert local == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("method", [Ifca(components=2), FedEm(components=2)], ids=["ifca", "fedem"])
def test_ifca_and_fedem_find_the_two_populations(method, two_populations):
    trial, state = two_populations, last_state(method, two_populations)
    assert all(float(own.sum()) == pytest.approx(1) for own in state.shares.values())
    assert all(float(own.max()) > 0.9 for own in state.shares.values())
    assert [int(state.shares[client].argmax()) for client in range(CLIENTS)] in ([0, 1, 0, 1], [1, 0, 1, 0])
    answer = method.answer(state, trial, method.family(trial))
    told = Contender(answer, Cost(0, 0, 0))
    union, local = on_union(told, trial.federation), on_local(told, trial.federation)
    assert local > 0.9
    assert union == pytest.approx(0.5, abs=0.1)  # nobody can tell the client from its inputs


def test_own_heads_and_own_models_speak_each_clients_own_language():
    trial = federation(renamed(0), renamed(1), 5, BRISK, QUARTERS)
    (_, together), (_, heads), (_, own) = (scores(method, trial) for method in (HeteroFl(), FedRep(), Ditto()))
    assert together < 0.6
    assert heads > 0.85
    assert own > 0.85


def pooled_loss(answer: Answer, trial: Trial) -> float:
    rows = Samples.concatenated([client.train for client in trial.federation.clients])
    return float(trial.task.losses(answer(rows.inputs, np.full(len(rows), UNKNOWN_CLIENT)), rows.targets).mean())


def test_scaffold_nears_the_optimum_that_fedavg_drifts_away_from():
    local = LocalTraining(learning_rate=0.2, batch_size=50, epochs=10)
    trial = federation(drifting(), drifting(), 12, local, LINE)
    best, fedavg, scaffold = (pooled_loss(m.run(trial).answer, trial) for m in (Central(), HeteroFl(), Scaffold()))
    assert fedavg > 2.5 * best
    assert scaffold - best < 0.2 * (fedavg - best)


def test_a_small_device_trains_the_leading_units_with_heterofl_and_others_every_round_with_fedrolex():
    trial = federation(opposites(0), opposites(1), 2, BRISK, PLANE, sizes=Tiers(widths=(0.25,)))
    for method, window in ((HeteroFl(), [0, 1, 2, 3]), (FedRolex(), [1, 2, 3, 4])):
        first, second = method.states(trial, trial.scenario.model, Account())
        assert torch.nonzero(first["stem.bias"] != second["stem.bias"]).flatten().tolist() == window


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_control_variates_are_the_mean_slopes_that_were_met(two_populations):
    now, method = first_round(Scaffold(), two_populations), Scaffold()
    state = method.round(method.begin(two_populations, now.family), now)
    alone = now.train({n: t[None] for n, t in method.begin(two_populations, now.family).model.items()}, [2])
    steps = -(-len(now.samples(2)) // 20)
    for name, before in method.begin(two_populations, now.family).model.items():
        moved = (before - alone.parameters[name][0]) / (steps * now.rate)  # option II, all c zero
        torch.testing.assert_close(state.controls[2][name], moved, rtol=1e-3, atol=1e-5)
        weights = torch.tensor([float(len(now.samples(client))) for client in range(CLIENTS)])
        mean = torch.einsum(
            "c,c...->...", weights / weights.sum(), torch.stack([state.controls[c][name] for c in range(CLIENTS)])
        )
        torch.testing.assert_close(state.control[name], mean, rtol=1e-4, atol=1e-6)


def constant(slope: float):
    return lambda model, batch, weights: (torch.zeros(1, 1), {"w": torch.full((1, 2), slope)})


def test_a_corrected_slope_has_the_constant_added_and_the_mean_has_not():
    corrected = Corrected(constant(3.0), {"w": torch.tensor([[10.0, 20.0]])})
    for _ in range(4):
        _, slopes = corrected({}, [], torch.ones(1, 1))
        assert slopes["w"].tolist() == [[13.0, 23.0]]
    assert corrected.mean(torch.tensor([4]))["w"].tolist() == [[3.0, 3.0]]


def test_a_pulled_step_is_the_implicit_one():
    near = pulled(constant(3.0), {"w": torch.tensor([1.0, 2.0])}, mu=5.0, rate=0.2)
    _, slopes = near({"w": torch.tensor([[2.0, 2.0]])}, [], torch.ones(1, 1))
    assert slopes["w"].tolist() == [[(3 + 5 * 1) / 2, 3 / 2]]


def test_responsibilities_are_bayes_rule():
    losses = -torch.tensor([[0.5, 0.25], [0.1, 0.9]]).log()
    found = responsibilities(losses, torch.tensor([0.25, 0.75]))
    expected = torch.tensor([[0.125, 0.1875], [0.025, 0.675]])
    torch.testing.assert_close(found, expected / expected.sum(1, keepdim=True))


def test_a_stranger_has_the_shares_of_the_whole_federation():
    models = [Mlp(width=2).init(PLANE, torch.Generator().manual_seed(seed)) for seed in range(2)]
    state = Mixed(models, {3: torch.tensor([1.0, 0.0]), 5: torch.tensor([0.0, 1.0])}, {3: 30, 5: 10})
    assert state.of(UNKNOWN_CLIENT).tolist() == state.of(4).tolist() == [0.75, 0.25]
    assert Mixed(models, {}, {}).of(3).tolist() == [0.5, 0.5]
    assert state.of(5).tolist() == [0.0, 1.0]
    rows, trial = torch.randn(4, 2), federation(opposites(0), opposites(1), 1, BRISK, PLANE)
    said = Ifca(components=2).answer(state, trial, Mlp(width=2))(rows, np.array([3, 5, 4, UNKNOWN_CLIENT]))
    one, other = (single_model(Mlp(width=2), model, PLANE)(rows, np.zeros(4, np.int64)) for model in models)
    mixed = 0.75 * one + 0.25 * other
    torch.testing.assert_close(said, torch.stack([one[0], other[1], mixed[2], mixed[3]]))


def test_a_strangers_head_is_the_mean_of_all_heads():
    trial = federation(renamed(0), renamed(1), 2, BRISK, QUARTERS)
    state = last_state(FedRep(), trial)
    weights = torch.tensor([float(len(client.train)) for client in trial.federation.clients])
    heads = torch.stack([state.heads[client]["head.weight"] for client in range(CLIENTS)])
    mean = torch.einsum("c,cou->ou", weights / weights.sum(), heads)
    torch.testing.assert_close(state.shared["head.weight"], mean)
    assert not torch.allclose(heads[0], heads[1], atol=1e-2)


def test_what_travels_and_what_is_trained_are_counted():
    trial = federation(opposites(0), opposites(1), 2, BRISK, PLANE)
    model, head, multiplies = 4 * (2 * 16 + 16 + 16 * 2 + 2), 4 * (16 * 2 + 2), 2 * 16 + 16 * 2
    samples = sum(len(client.train) for client in trial.federation.clients)
    sent, visits = 2 * CLIENTS * model, 2 * 2 * samples  # rounds, clients; rounds, epochs
    trained, asked = 6 * multiplies * visits, 2 * 3 * multiplies * 2 * samples
    expected = {  # bytes down, bytes up, floating-point operations
        "heterofl": (sent, sent, trained),
        "fedrolex": (sent, sent, trained),
        "fjord": (sent, sent, trained),
        "scaffold": (2 * sent, 2 * sent, trained),
        "ifca": (3 * sent, sent, trained + asked),
        "fedem": (3 * sent, 3 * sent, 3 * trained + asked),
        "fedrep": (sent - 2 * CLIENTS * head, sent, 2 * trained),
        "ditto": (sent, sent, 2 * trained),
    }
    done = {method.name: method.run(trial) for method in IN_PROCESS}
    assert {name: (run.bytes_down, run.bytes_up, run.training_flops) for name, run in done.items()} == expected


def test_every_rival_asks_the_same_clients():
    trial = digits(**{"partition.clients": 10, "fraction": 0.4})
    asked = [Round(trial, trial.scenario.model, number, Account()).clients for number in range(20)]
    assert all(len(set(clients)) == 4 and sorted(clients) == clients for clients in asked)
    assert {client for clients in asked for client in clients} == set(range(10))
    assert Round(trial, Mlp(width=3), 7, Account()).clients == asked[7]


def test_a_model_that_is_not_finite_is_refused(two_populations):
    now = first_round(HeteroFl(), two_populations)
    total = now.total([1, 3], {"w": torch.tensor([[1.0], [float("nan")]])})
    assert total.clients == (1,)
    assert total.everywhere()["w"].tolist() == [len(now.samples(1))]


@pytest.mark.parametrize("method", [HeteroFl(), FedRolex(), Fjord()], ids=["heterofl", "fedrolex", "fjord"])
def test_slices_are_for_devices_of_several_sizes(method):
    assert "sizes.kind=tiers" in method.absent(digits())
    assert method.absent(digits(**{"sizes.kind": "tiers"})) == ""


# --- the same, whoever is trained beside whom ------------------------------------------------------------------------

UNEVEN = {
    "sizes": Tiers(widths=(1.0, 0.5), depths=(1.0, 0.0)),
    "fraction": 0.7,
}
CAREFUL = LocalTraining(learning_rate=0.1, momentum=0.5, weight_decay=0.01, batch_size=8, epochs=2, schedule="cosine")


def pictures(seed: int) -> list[Samples]:
    """Clients of unequal sizes with images of three classes."""
    draw, clients = torch.Generator().manual_seed(seed), []
    for client in range(CLIENTS):
        targets = torch.randint(3, (9 + 4 * client,), generator=draw)
        light = torch.randn(len(targets), 1, 6, 6, generator=draw)
        clients.append(Samples(light + targets.view(-1, 1, 1, 1), targets))
    return clients


@pytest.mark.parametrize("method", [*IN_PROCESS, Local()], ids=lambda method: method.name)
def test_a_run_is_repeated_to_the_bit_and_does_not_depend_on_the_cohort(method, monkeypatch):
    images, model = Task(kind="classification", input_shape=(1, 6, 6), outputs=3), Convnet(channels=(3, 4), blocks=1)
    trial = federation(pictures(0), pictures(1), 2, CAREFUL, images, model, **UNEVEN)
    first, again = (method.run(trial) for _ in range(2))
    monkeypatch.setattr(federated, "CACHE", 1)
    alone = method.run(trial)
    for client in (UNKNOWN_CLIENT, 0, 3):
        said = answers(first.answer, trial, client)
        assert bool(said.isfinite().all())
        assert torch.equal(answers(again.answer, trial, client), said)
        torch.testing.assert_close(answers(alone.answer, trial, client), said, rtol=1e-4, atol=1e-5)
    assert (alone.bytes_up, alone.training_flops) == (first.bytes_up, first.training_flops)


@every_rival
def test_real_values_are_learned_too(method):
    local = LocalTraining(learning_rate=0.1, batch_size=10, epochs=4)
    lines = [
        Samples(x, 2 * x) for x in (torch.linspace(-1, 0.5, 30).unsqueeze(1), torch.linspace(0, 1, 20).unsqueeze(1))
    ]
    union, local_score = scores(method, federation(lines, lines, 6, local, LINE))
    assert union > 0.8
    assert local_score > 0.8


# --- what is made of the world model ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world() -> Trial:
    """The small digits federation after the world model's run, with longer training for what comes after it."""
    trial = digits(**{"partition.alpha": 1.0, "experts.rounds": 6})
    run = run_world(trial)
    longer = trial.scenario.model_copy(update={"prior": TrainingPhase(rounds=10)})
    return replace(trial, opened=Opened(longer, trial.opened.load), world=run, size=Cost(6_000, 6_000, 12_000))


def test_the_student_of_feddf_answers_like_the_ensemble(world):
    trial = replace(world, factor=4.0)
    student, ensemble = (answers(METHODS[name].run(trial).answer, trial) for name in ("feddf", "uniform"))
    assert float((student.argmax(1) == ensemble.argmax(1)).float().mean()) > 0.9


def test_the_head_of_fedpft_is_nearly_as_good_as_one_that_saw_the_features(world):
    encoder = world.finished().outcome.world.encoder
    pooled = Samples.concatenated([client.train for client in world.federation.clients])
    features = Samples(encoder(pooled.inputs), pooled.targets)
    task = Task(kind="classification", input_shape=features.inputs.shape[1:], outputs=10)
    *_, model = descended(world, Mlp(width=64, blocks=0), task, lambda epoch: features, task.losses, "x")
    union = world.federation.union_test
    central = task.score(
        Mlp(width=64, blocks=0).apply({n: t[None] for n, t in model.items()}, encoder(union.inputs)[None])[0],
        union.targets,
    )
    found, _ = scores(METHODS["fedpft"], world)
    assert central > 0.9
    assert found > central - 0.03


@pytest.mark.parametrize("name", ["feddf", "fedpft"])
def test_what_is_made_of_the_world_model_is_repeated_to_the_bit(name, world):
    short = replace(world, share=0.05)
    first, again = (answers(METHODS[name].run(short).answer, short) for _ in range(2))
    assert torch.equal(first, again)


def test_draws_have_the_moments_of_the_features():
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(50, 3, generator=draw) @ torch.randn(3, 3, generator=draw) + 2
    chart = Chart.from_sums(GAUSSIANS.sums(features, torch.ones(50, dtype=torch.int64)))
    drawn = Draws([chart], seed=0)
    rows = torch.cat([drawn(epoch).inputs for epoch in range(400)])
    assert drawn(0).targets.tolist() == [1] * 50
    assert not torch.equal(drawn(0).inputs, drawn(1).inputs)
    torch.testing.assert_close(rows.mean(0), features.mean(0), rtol=0.05, atol=0.05)
    torch.testing.assert_close(rows.T.cov(), features.T.cov(correction=0), rtol=0.1, atol=0.1)


def test_a_class_with_two_samples_is_drawn_between_and_beyond_them():
    chart = Chart.from_sums(GAUSSIANS.sums(torch.tensor([[0.0, 0.0], [2.0, 2.0]]), torch.tensor([4, 4])))
    rows = torch.cat([Draws([chart], seed=0)(epoch).inputs for epoch in range(200)])
    torch.testing.assert_close(rows[:, 0], rows[:, 1], rtol=1e-4, atol=1e-4)
    assert float(rows.std(0)[0]) == pytest.approx(1, rel=0.1)


# --- images in a mirror ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["central", "scaffold"])
def test_where_local_training_mirrors_images_monoliths_learn_what_the_mirror_shows(name):
    left = torch.zeros(200, 1, 4, 4)
    left[torch.arange(200), 0, torch.arange(200) % 4, torch.arange(200) // 4 % 2] = 1.0
    plain = Samples(left, torch.arange(200) % 4)  # a dot on the left, whose row is asked for
    mirror = Samples(left.flip(-1), plain.targets)
    task = Task(kind="classification", input_shape=(1, 4, 4), outputs=4)
    heard = []
    for mirrored in (False, True):
        local = LocalTraining(learning_rate=0.5, batch_size=20, mirrored=mirrored)
        trial = federation([plain, plain], [mirror, mirror], 15, local, task, Mlp(width=16))
        heard.append(on_union(METHODS[name].run(trial), trial.federation))
    assert heard[0] < 0.6
    assert heard[1] == 1


# --- committees of monoliths -----------------------------------------------------------------------------------------


def test_a_committee_of_monoliths_shares_the_parameters_of_one_and_is_there_where_experts_are_committees():
    assert "no committees" in METHODS["central_committee"].absent(digits())
    trial = digits(**{"experts.members": 3})
    assert METHODS["central_committee"].absent(trial) == ""
    whole, committee = METHODS["central"].run(trial), METHODS["central_committee"].run(trial)
    assert committee.cost.active_parameters == pytest.approx(whole.cost.active_parameters, rel=0.1)
    assert len(committee.curve) == trial.rounds
    said = answers(committee.answer, trial)
    torch.testing.assert_close(said.sum(1), torch.ones(len(said)))
    assert on_union(committee, trial.federation) > 0.5
