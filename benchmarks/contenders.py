"""What others would run on the same workload, one contender a call: `python -m benchmarks.contenders NAME ...`."""

import argparse
import copy
import logging
import os
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.workload import BATCH, MULTIPLIES, RATE, SAMPLES, client_samples, module, report, steady


def loop(workload: str, clients: int, rounds: int) -> None:
    """The plain PyTorch loop that anybody would write first, on one thread: one client after another."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    data = [client_samples(workload, client) for client in range(clients)]
    server = module(workload)

    marks = [time.perf_counter()]
    for _ in range(rounds + 1):
        total = {name: torch.zeros_like(tensor) for name, tensor in server.state_dict().items()}
        for inputs, labels in data:
            local = copy.deepcopy(server)
            descend(local, inputs, labels)
            for name, tensor in local.state_dict().items():
                total[name] += tensor / clients
        server.load_state_dict(total)
        marks.append(time.perf_counter())
    report("pytorch-loop", workload, clients, steady(marks), marks[0] - began)


def descend(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> None:
    """One client's steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    for start in range(0, SAMPLES, BATCH):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs[start : start + BATCH]), labels[start : start + BATCH]).backward()
        optimizer.step()


def flower(workload: str, clients: int, rounds: int) -> None:
    """Flower's own simulation, one CPU a client, its FedAvg, no evaluation."""
    from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
    from flwr.serverapp.strategy import FedAvg
    from flwr.simulation import run_simulation

    logging.getLogger("flwr").setLevel(logging.ERROR)
    client_app, server_app, marks, began = ClientApp(), ServerApp(), [], time.perf_counter()

    @client_app.train()
    def train(message: Message, context: Context) -> Message:
        torch.set_num_threads(1)
        local = module(workload)
        local.load_state_dict(message.content["arrays"].to_torch_state_dict())
        descend(local, *client_samples(workload, int(context.node_config["partition-id"])))
        metrics = MetricRecord({"num-examples": SAMPLES})
        return Message(RecordDict({"arrays": ArrayRecord(local.state_dict()), "metrics": metrics}), reply_to=message)

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=clients, min_available_nodes=clients)
        strategy.start(
            grid,
            ArrayRecord(module(workload).state_dict()),
            num_rounds=rounds + 1,
            evaluate_fn=lambda number, arrays: marks.append(time.perf_counter()),
        )

    run_simulation(server_app, client_app, clients, backend_config={"client_resources": {"num_cpus": 1}})
    report("flower", workload, clients, steady(marks), marks[0] - began)


def pfl(workload: str, clients: int, rounds: int) -> None:
    """Apple's pfl-research, its simulated backend and FedAvg; under torchrun, in several processes.

    Needs `pip install pfl`.
    """
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.aggregate.weighting import WeightByUser
    from pfl.algorithm import FederatedAveraging, NNAlgorithmParams
    from pfl.callback.base import TrainingProcessCallback
    from pfl.data.dataset import Dataset
    from pfl.data.federated_dataset import FederatedDataset
    from pfl.data.sampling import get_user_sampler
    from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
    from pfl.metrics import Metrics, Weighted
    from pfl.model.pytorch import PyTorchModel

    torch.set_num_threads(1)
    marks, began = [], time.perf_counter()

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = module(workload)

        def loss(self, x: torch.Tensor, y: torch.Tensor, eval: bool = False) -> torch.Tensor:  # noqa: A002
            return F.cross_entropy(self.net(x), y)

        def metrics(self, x: torch.Tensor, y: torch.Tensor, eval: bool = False) -> dict[str, object]:  # noqa: A002
            return {"loss": Weighted(float(self.loss(x, y)) * len(y), len(y))}

    class Marks(TrainingProcessCallback):
        def after_central_iteration(self, aggregate_metrics, model, *, central_iteration):  # type: ignore[no-untyped-def]
            marks.append(time.perf_counter())
            return False, Metrics()

    held = {client: client_samples(workload, client) for client in range(clients)}
    users = get_user_sampler("minimize_reuse", list(range(clients)))
    data = FederatedDataset(lambda user: Dataset(raw_data=held[user], user_id=str(user)), users)
    net = Model()
    startup = time.perf_counter() - began
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=rounds + 2,
            evaluation_frequency=10**9,
            train_cohort_size=clients,
            val_cohort_size=0,
        ),
        backend=SimulatedBackend(training_data=data, val_data=data, postprocessors=[WeightByUser()]),
        model=PyTorchModel(
            model=net,
            local_optimizer_create=torch.optim.SGD,
            central_optimizer=torch.optim.SGD(net.parameters(), 1.0),
        ),
        model_train_params=NNTrainHyperParams(local_num_epochs=1, local_learning_rate=RATE, local_batch_size=BATCH),
        model_eval_params=NNEvalHyperParams(local_batch_size=None),
        callbacks=[Marks()],
    )
    if int(os.environ.get("RANK", 0)) == 0:
        report("pfl-research", workload, clients, steady(marks), startup)


def limit(workload: str, clients: int, rounds: int) -> None:
    """The machine's limit, all cores: batched products of one client's batch with its layer, and nothing else."""
    best, draw = 0.0, torch.Generator().manual_seed(0)
    for cohort in (32, 64, 128, 256, 512):
        rows, weights = (torch.randn(cohort, side, 64, generator=draw) for side in (BATCH, 64))
        out = torch.bmm(rows, weights)
        for _ in range(30):
            began = time.perf_counter()
            torch.bmm(rows, weights, out=out)
            best = max(best, 2 * out.numel() * 64 / (time.perf_counter() - began))
    seconds = clients * 6 * MULTIPLIES["mlp"] * SAMPLES / best
    report("limit", "mlp", clients, [seconds], 0.0)


CONTENDERS: dict[str, Callable[[str, int, int], None]] = {
    "pytorch-loop": loop,
    "flower": flower,
    "pfl-research": pfl,
    "limit": limit,
}


def main() -> None:
    """Run one contender and print its line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contenders")
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("--workload", choices=sorted(MULTIPLIES), default="mlp")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    CONTENDERS[asked.name](asked.workload, asked.clients, asked.rounds)


if __name__ == "__main__":
    sys.exit(main())
