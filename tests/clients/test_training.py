"""The one local loop: by hand for one client, and the same for any cohort."""

from collections.abc import Sequence
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clients.model_training import TrainingJob, train_models
from clients.training import Batches, Pull, Trained, batches, by_autograd, clipped, train
from federation.data.samples import Samples
from federation.models import Convnet, Mlp
from federation.optimizers import AdamW, Sgd
from federation.settings import LocalTraining
from federation.tasks import Classification, Regression, Task
from federation.tensors import Parameters

CLASSES = Classification(input_shape=(6,), outputs=3)
VALUES = Regression(input_shape=(6,), outputs=2)
IMAGES = Classification(input_shape=(1, 6, 6), outputs=3)
MODELS = {
    "mlp on classes": (Mlp(width=5, blocks=1), CLASSES),
    "mlp on values": (Mlp(width=5, blocks=2), VALUES),
    "convnet": (Convnet(channels=(3, 4), blocks=1), IMAGES),
}
RAGGED = [1, 13, 4, 8]

LOCALS = {
    "plain": LocalTraining(learning_rate=0.1, batch_size=4, epochs=2),
    "momentum": LocalTraining(learning_rate=0.05, optimizer=Sgd(momentum=0.9), batch_size=4, epochs=3),
    "weight decay": LocalTraining(learning_rate=0.1, optimizer=Sgd(weight_decay=0.1), batch_size=4, epochs=2),
    "both": LocalTraining(learning_rate=0.05, optimizer=Sgd(momentum=0.5, weight_decay=0.1), batch_size=4, epochs=3),
    "one batch": LocalTraining(learning_rate=0.1, batch_size=99, epochs=2),
}


# --- by hand ---------------------------------------------------------------------------------------------------------


def losses(model: Parameters, batch: Sequence[torch.Tensor]) -> torch.Tensor:
    """Losses of y = w x under half the squared error."""
    x, y = batch
    return 0.5 * (model["w"].unsqueeze(1) * x - y).square()


def line(inputs: list[list[float]], targets: list[list[float]]):
    """Columns of x and y; one row of each a client."""
    return [[torch.tensor(own, dtype=torch.float64) for own in column] for column in (inputs, targets)]


def in_order(*clients: list[list[int]]) -> Batches:
    """Batches as they are written down: of each client a list of steps, of each step a list of rows."""
    steps, width = max(map(len, clients)), max(len(rows) for client in clients for rows in client)
    rows, real = torch.zeros(2, len(clients), steps, width).unbind()
    for client, plan in enumerate(clients):
        for step, batch in enumerate(plan):
            rows[client, step, : len(batch)], real[client, step, : len(batch)] = torch.tensor(batch).float(), 1
    return Batches(rows.long(), real.bool(), torch.zeros_like(real, dtype=torch.bool), epoch=1)


def trained(columns, plan: Batches, local: LocalTraining, start: list[float], proximal: float = 0.0) -> Trained:
    weights = {"w": torch.tensor(start, dtype=torch.float64)}
    pull = Pull(proximal, weights) if proximal else None
    return train(weights, by_autograd(losses), columns, plan, local, local.learning_rate, pull)


TENTH = LocalTraining(learning_rate=0.1)


def test_one_step_goes_down_the_slope():
    done = trained(line([[2.0]], [[0.0]]), in_order([[0]]), TENTH, [1.0])
    assert done.parameters["w"].tolist() == pytest.approx([1 - 0.1 * 4])
    assert (done.loss.tolist(), done.visited.tolist()) == ([2.0], [1])


def test_a_batch_takes_the_mean_slope_of_its_rows():
    done = trained(line([[2.0, 1.0]], [[0.0, 3.0]]), in_order([[0, 1]]), TENTH, [1.0])
    assert done.parameters["w"].tolist() == pytest.approx([1 - 0.1 * (4 - 2) / 2])
    assert done.loss.tolist() == [2.0]  # (2 + 2) / 2


def test_the_loss_is_the_mean_over_all_visits():
    done = trained(line([[2.0]], [[0.0]]), in_order([[0], [0]]), TENTH, [1.0])
    assert done.loss.tolist() == pytest.approx([(2 + 0.5 * (0.6 * 2) ** 2) / 2])
    assert done.visited.tolist() == [2]


def test_momentum_adds_the_last_gradients():
    local = LocalTraining(learning_rate=0.1, optimizer=Sgd(momentum=0.5))
    done = trained(line([[1.0]], [[0.0]]), in_order([[0], [0]]), local, [1.0])
    # gradient 1, w = 0.9; gradient 0.9 + 0.5 * 1, w = 0.9 - 0.14
    assert done.parameters["w"].tolist() == pytest.approx([0.76])


def test_a_gradient_that_is_too_long_is_shortened_as_by_torch():
    local = LocalTraining(learning_rate=0.1, clip=0.5, optimizer=Sgd(momentum=0.5, weight_decay=0.1))
    done = trained(line([[3.0]], [[0.0]]), in_order([[0], [0]]), local, [1.0])
    alone = torch.nn.Parameter(torch.tensor(1.0))
    optimiser = torch.optim.SGD([alone], 0.1, momentum=0.5, weight_decay=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        (0.5 * (3 * alone).square()).backward()
        torch.nn.utils.clip_grad_norm_([alone], 0.5)
        optimiser.step()
    assert done.parameters["w"].tolist() == pytest.approx([float(alone.detach())], rel=1e-5)


TORCH = {
    "sgd": (Sgd(momentum=0.9, weight_decay=0.1), partial(torch.optim.SGD, momentum=0.9, weight_decay=0.1)),
    "adamw": (AdamW(weight_decay=0.1), partial(torch.optim.AdamW, weight_decay=0.1)),
}


@pytest.mark.parametrize(("optimizer", "torchs"), TORCH.values(), ids=list(TORCH))
@pytest.mark.parametrize("clip", [None, 0.2])
def test_each_client_of_a_cohort_is_trained_as_by_torch(optimizer, torchs, clip):
    family, local = Mlp(width=8, blocks=1), LocalTraining(batch_size=4, epochs=25, optimizer=optimizer, clip=clip)
    start = {n: t.double() for n, t in family.init(CLASSES, torch.Generator().manual_seed(0)).items()}
    samples = [client_data(CLASSES, count, count, torch.float64) for count in (16, 5, 9)]
    job = TrainingJob([start] * 3, samples, [4, 7, 2], local, 0.03, 5, ("x",))
    together = train_models(job, family, CLASSES).parameters
    for place, own in enumerate(samples):
        model = {name: tensor[None].clone().requires_grad_() for name, tensor in start.items()}
        optimiser, plan = torchs(model.values(), 0.03), batches([len(own)], local, 5, ("x",), [job.clients[place]])
        for rows, real in zip(plan.rows[0], plan.real[0], strict=True):
            optimiser.zero_grad()
            batch = own.take(rows[real].numpy())
            CLASSES.losses(family.apply(model, batch.inputs[None])[0], batch.targets).mean().backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(model.values(), clip)
            optimiser.step()
        for name, tensor in model.items():
            torch.testing.assert_close(together[name][place].cpu(), tensor[0].detach(), rtol=1e-6, atol=1e-6)


def test_the_rate_rises_while_it_warms_up_and_cools_after():
    local = LocalTraining(learning_rate=0.4, warm_up=0.2, schedule="cosine")
    assert [local.rate(done) for done in (0.0, 0.1, 0.2, 0.6, 1.0)] == pytest.approx([0.04, 0.22, 0.4, 0.2, 0.0])


def test_a_gradient_that_is_not_finite_is_left_out_of_its_client_alone():
    gradients = {"w": torch.tensor([[3.0, 4.0], [float("inf"), 1.0], [0.3, 0.4]])}
    torch.testing.assert_close(clipped(gradients, 1.0)["w"], torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.3, 0.4]]))


def test_weight_decay_pulls_to_zero():
    local = LocalTraining(learning_rate=0.1, optimizer=Sgd(weight_decay=0.5))
    done = trained(line([[0.0]], [[0.0]]), in_order([[0], [0]]), local, [1.0])
    assert done.parameters["w"].tolist() == pytest.approx([0.95**2])


def test_the_proximal_term_pulls_to_the_start():
    columns, plan = line([[1.0]], [[0.0]]), in_order([[0], [0]])
    done = trained(columns, plan, TENTH, [1.0], proximal=2.0)
    # each step goes to (w - 0.1 w + 0.1 * 2 * 1) / (1 + 0.1 * 2)
    first = (0.9 + 0.2) / 1.2
    assert done.parameters["w"].tolist() == pytest.approx([(0.9 * first + 0.2) / 1.2])


def test_a_pulled_step_is_the_implicit_one():
    pull, weight = Pull(5.0, {"w": torch.tensor([1.0, 2.0])}), torch.tensor([[2.0, 2.0]])
    down = pull.beside(lambda gradient, weight: gradient, "w", rate=0.2)
    assert down(torch.tensor([[3.0, 3.0]]), weight).tolist() == [[(3 + 5 * 1) / 2, 3 / 2]]


def test_without_a_proximal_term_nothing_pulls_back():
    done = trained(line([[1.0]], [[0.0]]), in_order([[0], [0]]), TENTH, [1.0])
    assert done.parameters["w"].tolist() == pytest.approx([0.81])


def test_every_client_follows_its_own_slope():
    done = trained(line([[2.0], [1.0]], [[0.0], [0.0]]), in_order([[0]], [[0]]), TENTH, [1.0, 1.0])
    assert done.parameters["w"].tolist() == pytest.approx([0.6, 0.9])


@pytest.mark.parametrize(
    "local", [TENTH, LocalTraining(learning_rate=0.1, optimizer=Sgd(momentum=0.9, weight_decay=0.5))]
)
def test_a_client_whose_steps_are_done_rests(local):
    columns = line([[2.0, 9.0], [1.0, 1.0]], [[0.0, 9.0], [0.0, 0.0]])
    together = trained(columns, in_order([[0]], [[0], [1], [0]]), local, [1.0, 1.0])
    alone = trained(line([[2.0]], [[0.0]]), in_order([[0]]), local, [1.0])
    assert together.parameters["w"][0] == alone.parameters["w"][0]
    assert together.visited.tolist() == [1, 3]
    assert together.loss[0] == alone.loss[0]


def test_training_does_not_touch_the_models_it_starts_from():
    start = {"w": torch.ones(1, dtype=torch.float64)}
    train(start, by_autograd(losses), line([[2.0]], [[0.0]]), in_order([[0]]), TENTH, 0.1)
    assert start["w"].tolist() == [1.0]
    assert not start["w"].requires_grad


def test_what_comes_back_carries_no_gradient():
    done = trained(line([[2.0]], [[0.0]]), in_order([[0]]), TENTH, [1.0])
    assert not done.parameters["w"].requires_grad


# --- cohorts ---------------------------------------------------------------------------------------------------------


def client_data(task: Task, count: int, seed: int, dtype: torch.dtype) -> Samples:
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, *task.input_shape, generator=draw, dtype=torch.float64)
    values = torch.randn(count, task.outputs, generator=draw, dtype=torch.float64)
    return Samples(inputs.to(dtype), values.argmax(1) if task.classifies else values.to(dtype))


def cohort_of(
    members: list[int], family, task: Task, local: LocalTraining, dtype: torch.dtype, proximal: float
) -> Trained:
    """Train some of the ragged clients together; each is addressed by its number alone."""
    draw = torch.Generator().manual_seed(0)
    start = {name: tensor.to(dtype) for name, tensor in family.init(task, draw).items()}
    samples = [client_data(task, RAGGED[number], number, dtype) for number in members]
    pull = Pull(proximal, start) if proximal else None
    job = TrainingJob([start] * len(members), samples, members, local, local.learning_rate, 5, ("experts", 3), pull)
    return train_models(job, family, task)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize("proximal", [0.0, 0.3])
@pytest.mark.parametrize("local", LOCALS.values(), ids=LOCALS.keys())
@pytest.mark.parametrize(("family", "task"), MODELS.values(), ids=MODELS.keys())
def test_a_cohort_is_its_members_one_by_one(family, task, local, proximal, dtype, tolerance):
    together = cohort_of([0, 1, 2, 3], family, task, local, dtype, proximal)
    for place, number in enumerate([0, 1, 2, 3]):
        alone = cohort_of([number], family, task, local, dtype, proximal)
        for name, tensor in alone.parameters.items():
            torch.testing.assert_close(together.parameters[name][place], tensor[0], rtol=tolerance, atol=tolerance)
        assert int(together.visited[place]) == int(alone.visited[0]) == local.epochs * RAGGED[number]
        assert float(together.loss[place]) == pytest.approx(float(alone.loss[0]), rel=1e-5)


def test_the_place_in_a_cohort_does_not_matter():
    family, task = MODELS["mlp on classes"]
    there = cohort_of([0, 1, 2, 3], family, task, LOCALS["both"], torch.float64, 0.0)
    back = cohort_of([3, 2, 1, 0], family, task, LOCALS["both"], torch.float64, 0.0)
    for name, tensor in there.parameters.items():
        torch.testing.assert_close(back.parameters[name].flip(0), tensor, rtol=1e-12, atol=1e-12)


def test_clients_learn_their_own_samples():
    family, task = MODELS["mlp on classes"]
    local = LocalTraining(learning_rate=0.2, optimizer=Sgd(momentum=0.5), batch_size=4, epochs=40)
    done = cohort_of([1, 2, 3], family, task, local, torch.float32, 0.0)
    for place, number in enumerate([1, 2, 3]):
        samples = client_data(task, RAGGED[number], number, torch.float32)
        model = {name: tensor[place, None].cpu() for name, tensor in done.parameters.items()}
        assert task.score(family.apply(model, samples.inputs[None])[0], samples.targets) == 1.0


def diverging() -> tuple[Trained, Trained]:
    """A client that is finite after one step and infinite in a second: alone, and beside one with three steps."""
    family, task, local = Mlp(width=4, blocks=0), CLASSES, LocalTraining(learning_rate=1.0, batch_size=4)
    start = family.init(task, torch.Generator().manual_seed(0))
    large, usual = client_data(task, 4, 0, torch.float32), client_data(task, 12, 1, torch.float32)
    large = Samples(1e20 * large.inputs, large.targets)
    alone = TrainingJob([start], [large], [0], local, 1.0, 0, ("x",))
    both = TrainingJob([start] * 2, [large, usual], [0, 1], local, 1.0, 0, ("x",))
    return train_models(alone, family, task), train_models(both, family, task)


def test_a_client_that_has_diverged_rests_too():
    alone, together = diverging()
    assert all(bool(tensor.isfinite().all()) for tensor in alone.parameters.values())
    for name, tensor in alone.parameters.items():
        torch.testing.assert_close(together.parameters[name][0], tensor[0])


def test_the_loss_of_a_client_that_rests_is_not_spoilt_either():
    alone, together = diverging()
    assert bool(alone.loss.isfinite().all())
    torch.testing.assert_close(together.loss[0], alone.loss[0])


# --- schedule and batches --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("progress", "rate"), [(0.0, 0.4), (1 / 3, 0.3), (0.5, 0.2), (2 / 3, 0.1), (1.0, 0.0)])
def test_the_cosine_falls_from_the_full_rate_to_zero(progress, rate):
    local = LocalTraining(learning_rate=0.4, schedule="cosine")
    assert local.rate(progress) == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_a_constant_rate_stays(progress):
    assert LocalTraining(learning_rate=0.4).rate(progress) == 0.4


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(1, 12), st.integers(1, 3), st.integers(0, 99))
def test_every_epoch_visits_each_sample_once(samples, batch_size, epochs, seed):
    local = LocalTraining(batch_size=batch_size, epochs=epochs)
    plan = batches(samples, local, seed, ("x",), range(len(samples)))
    for client, count in enumerate(samples):
        visits = plan.rows[client][plan.real[client]].tolist()
        for epoch in range(epochs):
            assert sorted(visits[epoch * count : (epoch + 1) * count]) == list(range(count))
        sizes = plan.real[client].sum(1)
        assert int(sizes.max()) <= batch_size
        steps = epochs * -(-count // batch_size)
        assert bool((sizes[:steps] > 0).all())
        assert not bool(sizes[steps:].any())


@given(st.integers(1, 30), st.lists(st.integers(1, 30), max_size=3), st.integers(0, 99))
def test_a_client_s_batches_depend_on_its_address_alone(count, others, seed):
    local = LocalTraining(batch_size=4, epochs=2)
    alone = batches([count], local, seed, ("prior", 2), [7])
    company = batches([*others, count], local, seed, ("prior", 2), [*range(len(others)), 7])
    assert torch.equal(alone.rows[0][alone.real[0]], company.rows[-1][company.real[-1]])


def test_another_round_client_or_seed_shuffles_anew():
    local = LocalTraining(batch_size=50)
    orders = [
        batches([50], local, seed, ("prior", round_), [client]).rows.flatten().tolist()
        for seed, round_, client in [(0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0)]
    ]
    assert len({tuple(order) for order in orders}) == 4


def test_half_of_the_visits_are_in_a_mirror_where_that_is_asked_and_no_row_changes_its_place():
    plain, mirrored = (batches([400], LocalTraining(mirrored=asked), 0, ("x",), [0]) for asked in (False, True))
    assert not bool(plain.mirrored.any())
    assert torch.equal(plain.rows, mirrored.rows)
    assert 160 < int(mirrored.mirrored.sum()) < 240
    images, targets = torch.arange(400.0 * 2 * 3).view(400, 2, 1, 3), torch.arange(400)
    for step, (seen, named) in enumerate(mirrored.of(([images], [targets]), torch.device("cpu"))):
        rows, flags = mirrored.rows[:, step], mirrored.mirrored[:, step]
        assert torch.equal(named, rows)
        assert torch.equal(seen[flags], images[rows[flags]].flip(-1))
        assert torch.equal(seen[~flags], images[rows[~flags]])


def test_epochs_are_shuffled_anew():
    rows = batches([50], LocalTraining(batch_size=50, epochs=2), 0, ("x",), [0]).rows[0]
    assert not torch.equal(rows[0], rows[1])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 4), st.integers(1, 3))
def test_each_step_sees_the_rows_that_its_batch_names(samples, batch_size, epochs):
    column = [torch.arange(count) + 100 * place for place, count in enumerate(samples)]
    plan = batches(samples, LocalTraining(batch_size=batch_size, epochs=epochs), 0, ("x",), range(len(samples)))
    seen = [batch for [batch] in plan.of([column], torch.device("cpu"))]
    expected = plan.rows + 100 * torch.arange(len(samples)).view(-1, 1, 1)
    assert torch.equal(torch.stack(seen, 1), expected)


# --- odd shapes ------------------------------------------------------------------------------------------------------


@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    batch_size=st.integers(1, 5),
    epochs=st.integers(1, 2),
    classes=st.integers(1, 3),
    momentum=st.sampled_from([0.0, 0.9]),
)
def test_one_client_one_sample_a_last_batch_of_one_or_a_single_class_are_nothing_special(
    counts, batch_size, epochs, classes, momentum
):
    task = Classification(input_shape=(4,), outputs=classes)
    family, local = (
        Mlp(width=3, blocks=1),
        LocalTraining(batch_size=batch_size, epochs=epochs, optimizer=Sgd(momentum=momentum)),
    )
    start = {name: t.double() for name, t in family.init(task, torch.Generator().manual_seed(0)).items()}
    samples = [client_data(task, count, place, torch.float64) for place, count in enumerate(counts)]

    def run(members: list[int]) -> Trained:
        chosen = [samples[member] for member in members]
        job = TrainingJob([start] * len(members), chosen, members, local, 0.1, 3, ("x",))
        return train_models(job, family, task)

    together = run(list(range(len(counts))))
    for place, count in enumerate(counts):
        alone = run([place])
        assert int(alone.visited[0]) == int(together.visited[place]) == epochs * count
        for name, tensor in alone.parameters.items():
            torch.testing.assert_close(together.parameters[name][place], tensor[0], rtol=1e-10, atol=1e-10)
