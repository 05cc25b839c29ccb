"""FedPFT: Gaussians of the features, sent once, and a head that the server trains on draws from them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from federation.data.samples import Samples
from federation.manifold import Chart, ChartRule, Encoder
from federation.models import Mlp
from federation.models.cost import Cost
from federation.randomness import torch_generator
from federation.tensors import nbytes
from scenarios.baselines.central import descended
from scenarios.baselines.contract import Answer, Contender, Method, Trial, single_model, training_flops

GAUSSIANS = ChartRule(min_count=2)
"""One Gaussian a client and class, with its full covariance, which needs two samples."""


class FedPft(Method):
    """One round: each client sends the Gaussians of its classes in feature space. The server draws as many features of
    each as it stands for, anew in every epoch, and trains a classifier on them. Source: Beitollahi et al. (2024).

    Their features are a foundation model's, which costs the federation nothing. Here they are those of the world
    model's encoder, ready-made: what it took is not counted. Encoder and head together are as large as one query of the
    world model.
    """

    name, title = "fedpft", "FedPFT: one-shot Gaussians and a head, equal active parameters"
    needs_world = True

    def absent(self, trial: Trial) -> str:
        return "" if trial.task.classifies else "real-valued targets have no classes whose features are Gaussian"

    def run(self, trial: Trial) -> Contender:
        assert trial.size is not None
        encoder, clients = trial.finished().outcome.world.encoder, [c.train for c in trial.federation.clients]
        sent = [GAUSSIANS.sums(encoder(samples.inputs), samples.targets) for samples in clients]
        drawn = Draws([Chart.from_sums(sums) for sums in sent], trial.scenario.seed)
        task = trial.task.model_copy(update={"input_shape": (drawn.latent,)})
        head = Mlp(blocks=0).sized_to(task, max(1, trial.size.active_parameters - encoder.parameters))
        models = descended(trial, head, task, drawn, task.objective, self.name)
        answer, curve = trial.followed(_encoded(encoder, single_model(head, model, task)) for model in models)
        visits = trial.rounds * trial.scenario.local.epochs * len(drawn(0))
        size = encoder.parameters + head.parameters(task)
        return Contender(
            answer,
            Cost(size, size, 2 * (encoder.parameters + head.multiplies(task))),
            bytes_up=sum(map(nbytes, sent)),
            bytes_down=len(clients) * nbytes(encoder.weights),
            training_flops=2.0 * encoder.parameters * sum(map(len, clients))
            + training_flops(head.multiplies(task) * visits),
            curve=curve,
        )


class Draws:
    """Features of each epoch, drawn from all clients' Gaussians: as many of each as it stands for."""

    def __init__(self, charts: Sequence[Chart], seed: int) -> None:
        labelled = [(label, moments) for chart in charts for label, moments in chart.components.items()]
        self._seed, self._counts = seed, [round(moments.count) for _, moments in labelled]
        self._means = [moments.mean.float() for _, moments in labelled]
        self._roots = [_root(moments.scatter / moments.count).float() for _, moments in labelled]
        self._labels = torch.tensor([label for label, _ in labelled]).repeat_interleave(torch.tensor(self._counts))

    @property
    def latent(self) -> int:
        """Dimensions of feature space."""
        return len(self._means[0])

    def __call__(self, epoch: int) -> Samples:
        noise = torch_generator(self._seed, "features", epoch)
        standard = torch.split(torch.randn(len(self._labels), self.latent, generator=noise), self._counts)
        pairs = zip(self._means, self._roots, standard, strict=True)
        return Samples(torch.cat([mean + rows @ root for mean, root, rows in pairs]), self._labels)


def _root(covariance: Float[Tensor, "latent latent"]) -> Float[Tensor, "latent latent"]:
    """R with R^T R = covariance, which need not have full rank."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = values.clamp_min(0).sqrt().unsqueeze(1) * vectors.T
    return root


def _encoded(encoder: Encoder, head: Answer) -> Answer:
    """A head's answers to raw inputs."""
    return lambda inputs, clients: head(encoder(inputs), clients)


FEDPFT = FedPft()
