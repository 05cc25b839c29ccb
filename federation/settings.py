"""The groups of settings that a scenario consists of, each a frozen value."""

import os
from math import cos, pi
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from federation.data.sites import Sites
from federation.learning.head import Head
from federation.manifold.coordinates import CoordinateRule
from federation.manifold.features import FeatureMap
from federation.optimizers import Optimizer, Sgd
from federation.routing import RoutingRule, TunedResidual
from federation.rules import Frozen, Several
from federation.tasks import Task
from federation.world.composition import PARTS, Part


class DataSettings(Frozen):
    """Where samples come from, and how many of them."""

    dir: str | None = Field(default=None, description="folder of the npz files; MANIFOLD_DATA where it is not set")
    path: str | None = Field(default=None, description="a file or folder of one's own (own, npz)")
    label: Several[str] = Field(default=(), description="own: the column to be learned, or several of amounts")
    client: str | None = Field(default=None, description="own: the column that says whose a row is")
    task: Literal["classification", "regression"] | None = Field(
        default=None, description="own: whether labels are classes or amounts; None: what they look like"
    )
    loss: str | None = Field(default=None, description="what steps minimise, module:function; else the task's own")
    ignore: Several[str] = Field(default=(), description="own: columns that are not looked at")
    test: str | None = Field(default=None, description="own: a file to test on; without it a share is held out")
    test_share: float = Field(default=0.2, gt=0, lt=1, description="own: that share")
    source: Literal["files", "hub"] = Field(default="files", description="npz files, or the Hugging Face hub")
    limit: int | None = Field(default=None, ge=1, description="at most this many training samples (of each part)")
    periods: Several[int] = Field(default=(), description="of data that drift, the times that are there; default all")
    sites: Sites | None = Field(default=None, description="deployed: each site reads a file of its own, and no other")

    @property
    def folder(self) -> Path | None:
        """Where npz files are: `dir`, or what MANIFOLD_DATA names."""
        folder = self.dir or os.environ.get("MANIFOLD_DATA")
        return Path(folder).expanduser() if folder else None


class LocalTraining(Frozen):
    """How one client goes down its losses in one round."""

    learning_rate: float = Field(default=0.1, gt=0)
    optimizer: Optimizer = Sgd()
    batch_size: int = Field(default=20, ge=1)
    epochs: int = Field(default=1, ge=1)
    schedule: Literal["constant", "cosine"] = "constant"
    warm_up: float = Field(default=0.0, ge=0, lt=1, description="share of a phase's rounds in which the rate rises")
    clip: float | None = Field(
        default=None, gt=0, description="the longest gradient of a step; a longer one is shortened, one of NaN left out"
    )
    mirrored: bool = Field(
        default=False, description="flip each image left to right with probability 1/2; only where that keeps its class"
    )

    def rate(self, progress: float) -> float:
        """The learning rate of a round: constant, or half a cosine over the rounds of the phase, after the warm-up.

        Args:
            progress: the share of the phase's rounds that are done.
        """
        if progress < self.warm_up:
            return self.learning_rate * (0.1 + 0.9 * progress / self.warm_up)
        cooled = (progress - self.warm_up) / (1 - self.warm_up)
        return self.learning_rate * (0.5 * (1 + cos(pi * cooled)) if self.schedule == "cosine" else 1.0)


class TrainingPhase(Frozen):
    """Rounds of one phase. `learning_rate` is a factor on the local one."""

    rounds: int = Field(ge=0)
    learning_rate: float = Field(default=1.0, gt=0)


class ReadoutSettings(Frozen):
    """A last layer by least squares on fixed features, of as many parameters as an expert that is trained."""

    features: FeatureMap
    ridges: Several[Annotated[float, Field(gt=0)]] = Field(
        default=(1e-3, 1e-2, 1e-1), min_length=1, description="penalties that are tried; shares of a feature's variance"
    )
    borrowed: Several[Annotated[float, Field(ge=0)]] = Field(
        default=(0.0,),
        min_length=1,
        description="samples with whose weight the sums of all regions join a region's own; tried with each penalty",
    )


class ExpertSettings(TrainingPhase):
    """Rounds of the experts, and what they answer."""

    own_classes: bool = Field(
        default=False, description="an expert answers only the classes of its region, and is wider for it"
    )
    members: int = Field(default=1, ge=1, description="at most so many models share an expert's parameters")
    coordinates: CoordinateRule | None = Field(
        default=None, description="those in which an expert sees its region's samples; None: everybody's"
    )
    readout: ReadoutSettings | None = Field(
        default=None, description="an expert without training, where it answers a region's held-out samples better"
    )

    @property
    def features(self) -> FeatureMap | None:
        """Those of the experts that are readouts."""
        return None if self.readout is None else self.readout.features


class CouplingSettings(Frozen):
    """Rounds after the experts' own in which each also minimises strength x KL(p_i || q_-i), q_-i its neighbours'
    mixture. With `strength=0` they are further rounds of the experts. Source: Ma and Shi (2025), eqs. 163-164."""

    rounds: int = Field(default=0, ge=0)
    strength: float = Field(default=0.1, ge=0, description="lambda, the weight of the divergence beside the loss")
    neighbours: int = Field(default=3, ge=1, description="the most overlapping regions that each is coupled to")
    warm_up: float = Field(default=0.3, ge=0, le=1, description="share of the rounds in which the strength rises")
    confined: bool = Field(default=True, description="only where regions meet; else everywhere, which erases regions")

    def strength_at(self, progress: float) -> float:
        """The strength when this share of the rounds is done: it rises from 0 along a line."""
        return self.strength * min(1.0, progress / self.warm_up if self.warm_up else 1.0)


class HeadSettings(Frozen):
    """p_0(y|x) proportional to (chart posterior of the labels) x exp(h(x)): the world without experts."""

    rounds: int = Field(default=10, ge=0)
    ridge: float | None = Field(
        default=None,
        gt=0,
        description="makes the last layer by least squares; penalty, as a share of each unit's variance",
    )
    hidden: int = Field(default=64, ge=0, description="0: the last layer reads the features themselves")
    features: FeatureMap | None = Field(default=None, description="of the raw input; None: the shared encoder's")
    temperature: float = Field(default=0.3, gt=0, description="factor on the chart's log posterior")
    local: LocalTraining = LocalTraining(learning_rate=0.1)

    @property
    def network(self) -> Head:
        """The head h."""
        return Head(hidden=self.hidden, features=self.features)

    def tells(self, task: Task) -> bool:
        """Whether there is a head: of values, only one by least squares."""
        return task.classifies or self.ridge is not None


class RouterSettings(Frozen):
    """The gate's rule, tuned on -log sum_i g_i p_i; in a share of the loss each row's own expert is masked (mixloo)."""

    rule: RoutingRule = TunedResidual()
    rounds: int = Field(default=10, ge=0)
    mixloo: float = Field(
        default=0.2, ge=0, le=1, description="share of the loss in which a client's own expert is masked"
    )
    reach: float = Field(
        default=1e-3, ge=0, lt=1, description="a client downloads no expert with a lesser share of its samples' gates"
    )
    local: LocalTraining = LocalTraining(learning_rate=0.1)


class CompositionSettings(Frozen):
    """Which parts may be combined, and how strong: weights tried for each on samples held out inside the federation."""

    parts: Several[Part] = Field(default=PARTS, min_length=1)
    weights: Several[Annotated[float, Field(gt=0)]] = Field(default=(0.5, 1.0), min_length=1)
    gain: float = Field(
        default=0.002, ge=0, description="loss of a sample by which a further part, or context, must improve on none"
    )
    context_router: bool | None = Field(
        default=None,
        description="whether queries that come with their client's others share experts; None: where it gains",
    )


class NoveltySettings(Frozen):
    """From where on the generalist answers, and whether what no region knows becomes a region of its own."""

    quantile: float = Field(
        default=0.99, gt=0, le=1, description="of held-out novelty; 1: the generalist never answers"
    )
    spawn_at: int | None = Field(default=None, ge=1, description="novel samples that spawn a region; never without it")
    false_discoveries: float = Field(default=0.1, gt=0, lt=1, description="share of these that may be known after all")
    rounds: int = Field(default=4, ge=0, description="rounds in which the spawned expert is trained")


class Search(Frozen):
    """The same small search for every method: factors on the local learning rate, tried for a share of the rounds."""

    factors: Several[float] = Field(default=(0.5, 1.0, 2.0), min_length=1)
    share: float = Field(default=0.3, gt=0, le=1)
