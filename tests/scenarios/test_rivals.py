"""Rivals as lists of phases: where they are FedAvg, what their papers say, and what the engine makes of them."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clients.phases.fedem import responsibilities
from clients.phases.scaffold import Corrected
from federation.data.samples import UNKNOWN_CLIENT, Samples
from federation.engine import SerialGrid
from federation.learning.draws import Draws
from federation.manifold import Chart, ChartRule, PrincipalComponents, PriorTrunk
from federation.models import Convnet, Mlp, Tiers
from federation.models.cost import Cost
from federation.opening import run_config
from federation.optimizers import Sgd
from federation.phases import Phase
from federation.phases.averaging import Averaging
from federation.phases.census import Census
from federation.phases.ditto import Ditto
from federation.phases.feddf import Feddf
from federation.phases.fedem import Fedem
from federation.phases.fedrep import Fedrep
from federation.phases.ifca import Ifca
from federation.randomness import generator
from federation.rules import InputError
from federation.settings import LocalTraining
from federation.tasks import Classification, Regression, Task
from federation.tensors import Parameters, single, under
from federation.timing.availability import Devices
from federation.wire.contribution import Contribution, Weighed
from federation.world.predictors import EncodedModel, GlobalModel, ModelMixture
from scenarios.baselines import METHODS, Trial, method
from scenarios.baselines.central import CENTRAL, descended
from scenarios.baselines.contract import Answer, Contender, Method, Run, single_model
from scenarios.baselines.rival import Rival
from scenarios.baselines.running import run_phases
from scenarios.runs.engines import HERE, Engine
from scenarios.runs.scoring import on_local, on_union
from server.advancing import RoundLostError
from server.phases import held, side
from server.phases.contract import Now, Step
from server.state import ServerState, initial
from tests import made
from tests.small import ROUNDS

NAMES = ("fedavg", "scaffold", "fedrolex", "fjord", "ifca", "fedem", "fedrep", "ditto", "feddf", "fedpft")
"""One of each kind; the others differ from FedAvg by a number, or by the sizes of devices."""

every_rival = pytest.mark.parametrize("name", NAMES)


def rival(name: str) -> Rival:
    """A method that is a list of phases."""
    found = METHODS[name]
    assert isinstance(found, Rival)
    return found


def of(phase: Phase, name: str = "fedavg") -> Rival:
    """FedAvg's settings with another phase."""
    return replace(rival(name), phases=lambda rounds: (Census(), phase.model_copy(update={"rounds": rounds})))


def digits(**overrides) -> Trial:
    """The small digits federation; monoliths as large as an expert."""
    return Trial(run_config("digits", ROUNDS | overrides, 0), HERE.fresh)


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """Makes trials of these clients and tests."""

    def make(clients: list[Samples], tests: list[Samples], rounds: int, local: LocalTraining, task: Task, **settings):
        file = made.written(tmp_path_factory.mktemp("made") / "data.npz", clients, tests, task)
        overrides: dict[str, Any] = {"data.path": file, "local": local.dump(), **settings}
        return Trial(run_config(str(Path(made.__file__)), overrides, 0), HERE.fresh, budget=rounds)

    return make


def answers(answer: Answer, trial: Trial, client: int = UNKNOWN_CLIENT) -> torch.Tensor:
    inputs = trial.federation.union_test.inputs
    return answer(inputs, np.full(len(inputs), client))


def finished(one: Rival, trial: Trial) -> Run:
    return run_phases(one.prepared(trial))


def states(one: Rival, trial: Trial) -> list[ServerState]:
    """The server's state after each round of training."""
    seen: list[ServerState] = []
    run_phases(one.prepared(trial), None, lambda record, state: seen.append(state) if record.visited else None)
    return seen


def scores(one: Method, trial: Trial) -> tuple[float, float | None]:
    trained = one.run(trial)
    return on_union(trained, trial.federation), on_local(trained, trial.federation)


# --- special cases ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flower() -> tuple[Trial, Contender]:
    """FedAvg by Flower's own strategy over the same grid."""
    trial = digits()
    return trial, method("flwr:FedAvg").run(trial)


REDUCED = {
    "fedavg": rival("fedavg"),
    "heterofl of full sizes": rival("heterofl"),
    "fedrolex of full sizes": rival("fedrolex"),
    "fjord of full sizes": rival("fjord"),
    "fedprox without a pull": of(Averaging(proximal=0.0)),
    "ifca of one cluster": of(Ifca(components=1)),
    "fedem of one component": of(Fedem(components=1)),
    "fedrep without personal layers": of(Fedrep(personal=())),
    "the global model of ditto": rival("ditto"),
    "feddf whose server hardly learns": of(Feddf(learning_rate=1e-9)),
}


@pytest.mark.parametrize("one", REDUCED.values(), ids=REDUCED.keys())
def test_it_is_flowers_fedavg_in_a_special_case(one, flower):
    trial, expected = flower
    found = one.run(trial)
    torch.testing.assert_close(answers(found.answer, trial), answers(expected.answer, trial), rtol=1e-5, atol=1e-6)
    assert [number for number, _ in found.curve] == [number for number, _ in expected.curve]
    assert [score for _, score in found.curve] == pytest.approx([score for _, score in expected.curve])


def test_its_budget_is_flowers_too(flower):
    trial, expected = flower
    found = rival("fedavg").run(trial)
    clients, rounds, tensors, sums = 5, trial.rounds, 6, 3  # sums: loss, visited, multiplies
    assert found.bytes_down == expected.bytes_down
    weights = rounds * clients * 8 * (tensors + sums)
    census = clients * 8 * (1 + trial.task.outputs)
    assert found.bytes_up == expected.bytes_up + weights + census
    assert found.training_flops == pytest.approx(expected.training_flops)
    assert found.cost == expected.cost


def test_fedadam_is_flowers_at_the_same_settings():
    trial = digits()
    expected = method("flwr:FedAdam").run(trial)
    adam = replace(rival("fedadam"), settings={"aggregation": {"kind": "adam", "rate": 0.1, "tau": 1e-3}})
    found = answers(adam.run(trial).answer, trial)
    torch.testing.assert_close(found, answers(expected.answer, trial), rtol=1e-3, atol=1e-4)


def test_a_strategy_of_flower_that_needs_each_clients_own_model_gets_it():
    trial = digits()
    median = answers(method("flwr:FedMedian").run(trial).answer, trial)
    mean = answers(method("flwr:FedAvg").run(trial).answer, trial)
    assert not torch.allclose(median, mean, atol=1e-2)


def test_a_strategy_that_flower_does_not_have_is_refused():
    with pytest.raises(InputError, match="did you mean 'FedYogi'"):
        method("flwr:FedYoga")


def test_ditto_that_is_pulled_without_end_stays_at_what_it_receives(flower):
    trial, _ = flower
    one = of(Ditto(mu=1e9))
    before = states(one, trial)[-2].prior.parameters
    model = finished(one, trial).outcome.model
    assert isinstance(model, GlobalModel)
    for client in range(5):
        for name, tensor in before.items():
            torch.testing.assert_close(model.own[client][name], tensor[0], rtol=1e-6, atol=1e-6)


def test_scaffold_begins_as_fedavg(flower):
    trial = replace(flower[0], budget=1)
    expected = answers(rival("fedavg").run(trial).answer, trial)
    torch.testing.assert_close(answers(rival("scaffold").run(trial).answer, trial), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("clients", "epochs"), [(1, 7), (2, 1)], ids=["one client", "one step a round"])
def test_scaffold_is_fedavg_where_nothing_drifts(clients, epochs, federation):
    local = LocalTraining(learning_rate=0.1, batch_size=50, epochs=epochs)
    trial = federation(drifting()[:clients], drifting()[:clients], 5, local, LINE)
    expected = answers(rival("fedavg").run(trial).answer, trial)
    torch.testing.assert_close(answers(rival("scaffold").run(trial).answer, trial), expected, rtol=1e-5, atol=1e-5)


# --- what their papers say -------------------------------------------------------------------------------------------

PLANE = Classification(input_shape=(2,), outputs=2)
QUARTERS = Classification(input_shape=(2,), outputs=4)
LINE = Regression(input_shape=(1,), outputs=1)
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


@pytest.fixture(scope="module")
def two_populations(federation) -> Trial:
    local = LocalTraining(learning_rate=1.0, batch_size=20, epochs=1)
    return federation(opposites(0), opposites(1), 16, local, PLANE)


def test_one_model_for_two_opposite_populations_is_at_chance(two_populations):
    union, local = scores(rival("fedavg"), two_populations)
    assert union == pytest.approx(0.5, abs=0.1)
    assert local == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("one", [of(Ifca(components=2)), of(Fedem(components=2))], ids=["ifca", "fedem"])
def test_ifca_and_fedem_find_the_two_populations(one, two_populations):
    trial = two_populations
    model = finished(one, trial).outcome.model
    assert isinstance(model, ModelMixture)
    shares = [model.own[client]["proposed/shares"] for client in range(CLIENTS)]
    assert all(float(own.sum()) == pytest.approx(1) for own in shares)
    assert all(float(own.max()) > 0.9 for own in shares)
    assert [int(own.argmax()) for own in shares] in ([0, 1, 0, 1], [1, 0, 1, 0])
    samples = [len(client.train) for client in trial.federation.clients]
    weighed = sum(n * own for n, own in zip(samples, shares, strict=True)) / sum(samples)
    torch.testing.assert_close(model.shares, weighed)
    union, local = scores(one, trial)
    assert local > 0.9
    assert union == pytest.approx(0.5, abs=0.1)  # nobody can tell the client from its inputs


def test_own_heads_and_own_models_speak_each_clients_own_language(federation):
    trial = federation(renamed(0), renamed(1), 5, BRISK, QUARTERS)
    (_, together), (_, heads), (_, own) = (scores(rival(name), trial) for name in ("fedavg", "fedrep", "ditto"))
    assert together < 0.6
    assert heads > 0.85
    assert own > 0.85


def pooled_loss(answer: Answer, trial: Trial) -> float:
    rows = Samples.concatenated([client.train for client in trial.federation.clients])
    return float(trial.task.losses(answer(rows.inputs, np.full(len(rows), UNKNOWN_CLIENT)), rows.targets).mean())


def test_scaffold_nears_the_optimum_that_fedavg_drifts_away_from(federation):
    local = LocalTraining(learning_rate=0.2, batch_size=50, epochs=10)
    trial = federation(drifting(), drifting(), 12, local, LINE)
    each = (CENTRAL, rival("fedavg"), rival("scaffold"))
    best, fedavg, scaffold = (pooled_loss(one.run(trial).answer, trial) for one in each)
    assert fedavg > 2.5 * best
    assert scaffold - best < 0.2 * (fedavg - best)


def test_a_small_device_trains_the_leading_units_with_heterofl_and_others_every_round_with_fedrolex(federation):
    trial = federation(opposites(0), opposites(1), 2, BRISK, PLANE, sizes=Tiers(widths=(0.25,)).dump())
    for name, window in (("heterofl", [0, 1, 2, 3]), ("fedrolex", [1, 2, 3, 4])):
        first, second = (state.prior.parameters["stem.bias"][0] for state in states(rival(name), trial))
        assert torch.nonzero(first != second).flatten().tolist() == window


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_control_variates_are_the_mean_gradients_that_were_met(federation):
    trial = federation(opposites(0), opposites(1), 1, LocalTraining(learning_rate=1.0, batch_size=20), PLANE)
    prepared = rival("scaffold").prepared(trial)
    grid, seen = HERE.fresh(prepared.config), list[ServerState]()
    run_phases(
        replace(prepared, grids=lambda config, merged=True: grid), None, lambda record, state: seen.append(state)
    )
    own = grid.remembered("scaffold/proposed")
    local = grid.remembered("local")
    samples = [len(client.train) for client in trial.federation.clients]
    alone = federation([opposites(0)[2]], [opposites(1)[2]], 1, LocalTraining(learning_rate=1.0, batch_size=20), PLANE)
    assert not local
    assert len(alone.federation.clients) == 1
    for name, control in under("control", seen[-1].own["scaffold"]).items():
        each = torch.stack([own[client][name] for client in range(CLIENTS)]).double()
        mean = torch.einsum("c,c...->...", torch.tensor(samples).double() / sum(samples), each)
        torch.testing.assert_close(control[0].double(), mean, rtol=1e-4, atol=1e-6)
    start, steps = seen[0].prior.parameters, torch.tensor([float(-(-n // 20)) for n in samples])
    weights = torch.tensor([float(n) for n in samples]) / sum(samples)
    for name, before in start.items():  # option II with all c zero, of the mean model
        after = torch.stack([own[client][name] for client in range(CLIENTS)])
        moved = torch.einsum("c,c...->...", weights * steps, after)
        torch.testing.assert_close(before[0] - seen[-1].prior.parameters[name][0], moved, rtol=1e-3, atol=1e-5)


def constant(gradient: float):
    return lambda model, batch, weights: (torch.zeros(1, 1), {"w": torch.full((1, 2), gradient)})


def test_a_corrected_gradient_has_the_constant_added_and_the_mean_has_not():
    corrected = Corrected(constant(3.0), {"w": torch.tensor([[10.0, 20.0]])})
    for _ in range(4):
        _, gradients = corrected({}, [], torch.ones(1, 1))
        assert gradients["w"].tolist() == [[13.0, 23.0]]
    assert corrected.mean(torch.tensor([4.0]))["w"].tolist() == [[3.0, 3.0]]


def test_responsibilities_are_bayes_rule():
    losses = -torch.tensor([[0.5, 0.25], [0.1, 0.9]]).log()
    found = responsibilities(losses, torch.tensor([0.25, 0.75]))
    expected = torch.tensor([[0.125, 0.1875], [0.025, 0.675]])
    torch.testing.assert_close(found, expected / expected.sum(1, keepdim=True))


def test_a_stranger_has_the_shares_of_the_whole_federation():
    family, rows = Mlp(width=2), torch.randn(4, 2)
    models = [family.init(PLANE, torch.Generator().manual_seed(seed)) for seed in range(2)]
    together = {name: torch.stack([model[name] for model in models]) for name in models[0]}
    own = {3: {"proposed/shares": torch.tensor([1.0, 0.0])}, 5: {"proposed/shares": torch.tensor([0.0, 1.0])}}
    mixture = ModelMixture(family, PLANE, together, torch.tensor([0.75, 0.25]), own)
    said = mixture.predict(rows, np.array([3, 5, 4, UNKNOWN_CLIENT]))
    one, other = (single_model(family, model, PLANE)(rows, np.zeros(4, np.int64)) for model in models)
    mixed = 0.75 * one + 0.25 * other
    torch.testing.assert_close(said, torch.stack([one[0], other[1], mixed[2], mixed[3]]))


def test_a_strangers_head_is_the_mean_of_all_heads(federation):
    trial = federation(renamed(0), renamed(1), 2, BRISK, QUARTERS)
    model = finished(rival("fedrep"), trial).outcome.model
    assert isinstance(model, GlobalModel)
    weights = torch.tensor([float(len(client.train)) for client in trial.federation.clients])
    heads = torch.stack([model.own[client]["head.weight"] for client in range(CLIENTS)])
    mean = torch.einsum("c,cou->ou", weights / weights.sum(), heads)
    torch.testing.assert_close(model.parameters["head.weight"][0], mean)
    assert not torch.allclose(heads[0], heads[1], atol=1e-2)


def test_what_travels_and_what_is_trained_are_counted(federation):
    trial = federation(opposites(0), opposites(1), 2, BRISK, PLANE)
    model, head, multiplies = 4 * (2 * 16 + 16 + 16 * 2 + 2), 4 * (16 * 2 + 2), 2 * 16 + 16 * 2
    samples = sum(len(client.train) for client in trial.federation.clients)
    messages, visits = 2 * CLIENTS, 2 * 2 * samples  # rounds, clients; rounds, epochs
    sent, trained, asked = messages * model, 6 * multiplies * visits, 2 * 3 * multiplies * 2 * samples
    census = CLIENTS * 8 * 3  # samples, and a count of each of two classes
    sums, shares = 8 * 3, 8 * 3 * 2  # loss, visited, multiplies; of three components, left and joined
    up = census + messages * (model + 8 * 4 + sums)  # a weight of each of four tensors
    expected = {  # bytes down, bytes up, floating-point operations
        "fedavg": (sent, up, trained),
        "heterofl": (sent, up, trained),
        "fedrolex": (sent, up, trained),
        "fjord": (sent, up, trained),
        "scaffold": (2 * sent, up + messages * (model + 8 * 4), trained),
        "ifca": (3 * sent + messages * 0, up + messages * shares, trained + asked),
        "fedem": (3 * sent, up + messages * (2 * (model + 8 * 4) + shares), 3 * trained + asked),
        "fedrep": (sent - CLIENTS * head, up, 2 * trained),  # a head in the first round, to begin with
        "ditto": (sent, up, 2 * trained),
    }
    held_out = sum(len(client.held_out) for client in trial.federation.clients)
    fused = 6 * multiplies * 2 * held_out * (CLIENTS / 3 + 1)  # rounds; all clients' models are asked, one learns
    moments, gaussian, codes = 8 * (1 + 2 + 4), 8 + 4 * (2 + 4), 2 + 4  # of the plane; of a class; a mean, a projection
    hidden = 15  # units of a head of 77 numbers; with the encoder it is nearest to the 82 of the model
    drawn = 2 * 2 * samples * hidden * (2 + 2)  # epochs: the two rounds'
    once = CLIENTS * (moments + 2 * gaussian + 8 * 2), 6 * drawn + 2 * codes * samples
    expected |= {
        "feddf": (sent, up, trained + fused),
        "fedpft": (CLIENTS * 4 * codes, census + once[0], once[1]),
    }
    told_shares = {"ifca": messages * 8 * 3, "fedem": messages * 8 * 3}
    done = {name: rival(name).run(trial) for name in expected}
    found = {
        name: (run.bytes_down - told_shares.get(name, 0), run.bytes_up, pytest.approx(run.training_flops))
        for name, run in done.items()
    }
    assert found == expected


@pytest.mark.parametrize("name", ["heterofl", "fedrolex", "fjord"])
def test_slices_are_for_devices_of_several_sizes(name):
    assert "sizes.kind=tiers" in rival(name).absent(digits())
    assert rival(name).absent(digits(**{"sizes.kind": "tiers"})) == ""


# --- the same, whoever is trained beside whom, and whoever is not there ----------------------------------------------

UNEVEN = {"sizes": Tiers(widths=(1.0, 0.5), depths=(1.0, 0.0)).dump(), "fraction": 0.7}
CAREFUL = LocalTraining(
    learning_rate=0.1, optimizer=Sgd(momentum=0.5, weight_decay=0.01), batch_size=8, epochs=2, schedule="cosine"
)


def pictures(seed: int) -> list[Samples]:
    """Clients of unequal sizes with images of three classes."""
    draw, clients = torch.Generator().manual_seed(seed), []
    for client in range(CLIENTS):
        targets = torch.randint(3, (9 + 4 * client,), generator=draw)
        light = torch.randn(len(targets), 1, 6, 6, generator=draw)
        clients.append(Samples(light + targets.view(-1, 1, 1, 1), targets))
    return clients


@pytest.mark.parametrize("name", [*NAMES, "local"])
def test_a_run_is_repeated_to_the_bit_and_does_not_depend_on_the_cohort(name, federation):
    images = Classification(input_shape=(1, 6, 6), outputs=3)
    model = Convnet(channels=(3, 4), blocks=1).dump()
    trial = federation(pictures(0), pictures(1), 2, CAREFUL, images, model=model, **UNEVEN)
    first = rival(name).run(trial)
    again = rival(name).run(trial) if name in ("fedavg", "fedem") else first
    alone = rival(name).run(replace(trial, grids=Engine("serial").fresh))
    for client in (UNKNOWN_CLIENT, 0, 3):
        said = answers(first.answer, trial, client)
        assert bool(said.isfinite().all())
        assert torch.equal(answers(again.answer, trial, client), said)
        torch.testing.assert_close(answers(alone.answer, trial, client), said, rtol=1e-4, atol=1e-5)
    assert alone.training_flops == pytest.approx(first.training_flops)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "fedpft"])
def test_real_values_are_learned_too(name, federation):
    local = LocalTraining(learning_rate=0.1, batch_size=10, epochs=4)
    lines = [
        Samples(x, 2 * x) for x in (torch.linspace(-1, 0.5, 30).unsqueeze(1), torch.linspace(0, 1, 20).unsqueeze(1))
    ]
    union, local_score = scores(rival(name), federation(lines, lines, 6, local, LINE))
    assert union > 0.8
    assert local_score > 0.8


@pytest.mark.parametrize("name", ["scaffold", "ifca", "fedem"])
def test_what_a_client_proposes_holds_only_once_it_is_counted(name, federation):
    """An answer that gets lost on the way leaves no trace: neither at the server nor with the client."""
    trial = rival(name).prepared(federation(opposites(0), opposites(1), 3, BRISK, PLANE))

    class Deaf(SerialGrid):
        """Loses client 1's answer in the second of three rounds of training."""

        def serve(self, messages):
            for reply in super().serve(messages):
                config = reply.content.config_records["config"] if reply.has_content() else {}
                lost = (config.get("phase"), config.get("round"), reply.metadata.src_node_id) == (name, 1, 2)
                if not lost:
                    yield reply

    class Absent(SerialGrid):
        """Never asks it there."""

        def serve(self, messages):
            def skipped(message):
                config = message.content.config_records["config"]
                return (config["phase"], config["round"], message.metadata.dst_node_id) == (name, 1, 2)

            yield from super().serve([message for message in messages if not skipped(message)])

    from clients.app import app

    runs = [
        run_phases(replace(trial, grids=lambda config, merged=True, grid=grid: grid(app, CLIENTS, config)))
        for grid in (Deaf, Absent)
    ]
    assert [record.answered for record in runs[0].outcome.history] == [4, 4, 3, 4]
    heard, unasked = (run.outcome.model.tensors() for run in runs)
    for tensor, expected in zip(heard.values(), unasked.values(), strict=True):
        torch.testing.assert_close(tensor, expected)


@pytest.mark.parametrize("name", ["fedrolex", "scaffold", "ifca", "fedrep", "feddf", "fedpft"])
def test_clients_that_come_and_go_do_not_stop_it(name):
    trial = digits(**{"availability": Devices(dropout=0.2).dump(), "fraction": 0.6, "sizes.kind": "tiers"})
    run = finished(rival(name), trial)
    assert bool(run.outcome.model.predict(trial.federation.union_test.inputs).isfinite().all())


# --- what the server learns itself -----------------------------------------------------------------------------------


def fused(trial: Trial, models: list[Parameters], phase: Feddf) -> Parameters:
    """What FedDF's server makes of clients' models in one round."""
    scenario = trial.scenario.model_copy(update={"phases": (phase,)})
    sent = [Weighed([n], [n], single(single(model)), torch.ones(1), {}).total([0]) for n, model in enumerate(models)]
    public = held((phase,), scenario, trial.opened.federation)
    now = Now(Step(phase, 0, 1), initial(scenario, trial.task), scenario, trial.task, len(models), public)
    return {name: t[0] for name, t in side(phase).advance(now, Contribution.total(sent)).prior.parameters.items()}


def test_the_student_of_feddf_learns_what_the_clients_models_say_together():
    trial = digits()
    family, task = trial.scenario.model, trial.task
    inputs = torch.cat([client.held_out.inputs for client in trial.federation.clients])
    models = [family.init(task, torch.Generator().manual_seed(seed)) for seed in range(3)]
    together = torch.stack([family.apply(single(model), inputs[None])[0] for model in models]).mean(0).softmax(1)

    def divergence(phase: Feddf) -> float:
        student = family.apply(single(fused(trial, models, phase)), inputs[None])[0]
        return float((together * (together.log() - student.log_softmax(1))).sum(1).mean())

    assert divergence(Feddf(learning_rate=0.5, epochs=100)) < divergence(Feddf(learning_rate=1e-9)) / 4


def public_file(folder: Path, inputs: torch.Tensor) -> Path:
    np.savez(folder / "public.npz", x_public=inputs.numpy())
    return folder / "public.npz"


def test_the_server_of_feddf_may_have_a_file_of_its_own(tmp_path):
    trial = replace(digits(**{"data.dir": str(tmp_path)}), budget=2)
    public_file(tmp_path, torch.cat([client.held_out.inputs for client in trial.federation.clients]))
    given, own = (answers(of(Feddf(public=name)).run(trial).answer, trial) for name in ("held_out", "public.npz"))
    assert torch.equal(given, own)


@pytest.mark.parametrize(
    ("array", "reason"), [((0, 64), "expected one or more"), ((5, 8, 8), r"expected \[n, 64\]"), (None, "no data file")]
)
def test_a_file_that_does_not_fit_is_refused_before_anything_runs(array, reason, tmp_path):
    file = tmp_path / "none.npz" if array is None else public_file(tmp_path, torch.zeros(array))
    one, trial = of(Feddf(public=str(file))), digits()
    with pytest.raises(InputError, match=reason):
        finished(one, trial)
    assert re.search(reason, one.absent(trial))


def test_sites_do_not_give_the_server_what_they_hold_out():
    sites = {"clients": 5, "task": digits().task.dump()}
    assert "name a file at the server" in rival("feddf").absent(digits(**{"data.sites": sites}))


def test_the_head_of_fedpft_is_nearly_as_good_as_one_that_saw_the_features():
    trial = replace(digits(**{"partition.alpha": 1.0}), budget=16)
    model = finished(rival("fedpft"), trial).outcome.model
    assert isinstance(model, EncodedModel)
    pooled, union = (
        Samples(model.encoder(rows.inputs), rows.targets)
        for rows in (
            Samples.concatenated([client.train for client in trial.federation.clients]),
            trial.federation.union_test,
        )
    )
    *_, seen = descended(trial, model.family, model.task, lambda epoch: pooled, model.task.losses, "x")
    central = model.task.score(model.family.apply(single(seen), union.inputs[None])[0], union.targets)
    assert central > 0.9
    assert scores(rival("fedpft"), trial)[0] > central - 0.03


def test_encoder_and_head_of_fedpft_are_as_large_as_the_model():
    trial = replace(digits(), budget=1)
    cost = rival("fedpft").run(trial).cost
    assert cost.total_parameters == pytest.approx(trial.scenario.model.parameters(trial.task), rel=0.01)


@pytest.mark.parametrize(
    ("task", "settings", "reason"),
    [
        (LINE, {}, "real-valued targets have no classes"),
        (PLANE, {"encoder": PrincipalComponents(features=PriorTrunk()).dump()}, "a trunk that is still to be trained"),
    ],
)
def test_fedpft_is_for_classes_and_an_encoder_that_is_not_trained(task, settings, reason, federation):
    clients = drifting() if task is LINE else opposites(0)
    trial = federation(clients, clients, 1, BRISK, task, **settings)
    assert reason in rival("fedpft").absent(trial)
    with pytest.raises(InputError, match=reason):
        finished(rival("fedpft"), trial)


def test_where_every_class_of_every_client_is_too_small_for_a_gaussian_fedpft_says_so():
    trial = digits(**{"charts.min_count": 500})
    with pytest.raises(RoundLostError, match=r"lower charts\.min_count"):
        finished(rival("fedpft"), trial)


GAUSSIANS = ChartRule(min_count=2)


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
def test_where_local_training_mirrors_images_monoliths_learn_what_the_mirror_shows(name, federation):
    left = torch.zeros(200, 1, 4, 4)
    left[torch.arange(200), 0, torch.arange(200) % 4, torch.arange(200) // 4 % 2] = 1.0
    plain = Samples(left, torch.arange(200) % 4)  # a dot on the left, whose row is asked for
    mirror = Samples(left.flip(-1), plain.targets)
    task = Classification(input_shape=(1, 4, 4), outputs=4)
    heard = []
    for mirrored in (False, True):
        local = LocalTraining(learning_rate=0.5, batch_size=20, mirrored=mirrored)
        trial = federation([plain, plain], [mirror, mirror], 15, local, task, model=Mlp(width=16).dump())
        heard.append(on_union(METHODS[name].run(trial), trial.federation))
    assert heard[0] < 0.6
    assert heard[1] == 1


# --- committees of monoliths -----------------------------------------------------------------------------------------


def test_a_committee_of_monoliths_shares_the_parameters_of_one_and_is_there_where_experts_are_committees():
    assert "no committees" in METHODS["central_committee"].absent(digits())
    trial = replace(digits(**{"experts.members": 3}), size=Cost(3_500, 3_500, 7_000))
    assert METHODS["central_committee"].absent(trial) == ""
    whole, committee = METHODS["central"].run(trial), METHODS["central_committee"].run(trial)
    assert committee.cost.active_parameters == pytest.approx(whole.cost.active_parameters, rel=0.1)
    assert len(committee.curve) == trial.rounds
    said = answers(committee.answer, trial)
    torch.testing.assert_close(said.sum(1), torch.ones(len(said)))
    assert on_union(committee, trial.federation) > 0.5
