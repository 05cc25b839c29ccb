"""The expert of a region: a committee of small models that answer all classes, or only those of their region.

Whatever an expert leaves out is spent on what it keeps: members that answer fewer classes are wider, and as many
members as there are share the parameters that one model would have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from federation.learning.readout import Readout
from federation.manifold.coordinates import COORDINATES, Coordinates
from federation.manifold.features import FeatureMap, Trunk, no_trunk
from federation.models import ElasticFamily
from federation.tasks import Task
from federation.tensors import Parameters, corner, single, stacked, under

CLASSES = "classes"
"""Name of an expert's classes among its tensors."""


@dataclass(frozen=True)
class Expert:
    """One region's models, along a leading members axis; they have the same say.

    `classes` names what the outputs stand for; None: all that the task asks, in order. `coordinates` are those of its
    region's chart, in which its models see their inputs and give their outputs; None: they are everybody's.
    """

    parameters: Parameters
    classes: Int[Tensor, " own"] | None = None
    coordinates: Coordinates | None = None

    @property
    def members(self) -> int:
        """Number of its models."""
        return len(next(iter(self.parameters.values())))

    @property
    def outputs(self) -> int | None:
        """Number of its classes; None: as many as the task asks."""
        return None if self.classes is None else len(self.classes)

    @property
    def unit(self) -> float:
        """Of its models' outputs, in units of the task."""
        return 1.0 if self.coordinates is None else float(self.coordinates.unit)

    def kind(
        self, family: ElasticFamily, task: Task, features: FeatureMap | None = None
    ) -> tuple[ElasticFamily | Readout, Task]:
        """What each member is a model of, and the task that it answers.

        Args:
            features: of experts that are readouts: those that are nothing but a head.
        """
        if features is not None and self.parameters.keys() == {"head.weight", "head.bias"}:
            return Readout.like(family, task, features, self.outputs)
        return specialised(family, task, self.outputs, max(1, self.members))

    def outputs_of(
        self,
        family: ElasticFamily,
        task: Task,
        rows: Float[Tensor, "samples *shape"],
        features: FeatureMap | None = None,
    ) -> Float[Tensor, "members samples own"]:
        """What each of its members says: logits of the expert's own classes, or values in units of the task."""
        (kind, own), seen = self.kind(family, task, features), self.coordinates
        if seen is None:
            return kind.asked(self.parameters, rows, own)
        return seen.values(rows, kind.asked(self.parameters, seen.inputs(rows), own))

    def with_models(self, parameters: Parameters) -> "Expert":
        """The same with other models."""
        return replace(self, parameters=parameters)

    def answers(
        self,
        family: ElasticFamily,
        task: Task,
        rows: Float[Tensor, "samples *shape"],
        features: FeatureMap | None = None,
    ) -> Float[Tensor, "samples outputs"]:
        """The members' mean: probabilities of all the task's classes (zero for one that is not its own), or values."""
        own = task.answers(self.outputs_of(family, task, rows, features)).mean(0)
        if self.classes is None:
            return own
        return torch.zeros(len(rows), task.outputs).index_copy(1, self.classes, own)

    def cooled(self, temperature: float) -> "Expert":
        """The expert whose members' logits are divided by a temperature."""
        heads = {name: t / temperature for name, t in self.parameters.items() if name.startswith("head.")}
        return self.with_models({**self.parameters, **heads})

    def apart(self) -> list[dict[str, Tensor]]:
        """Its members, one by one."""
        return [{name: t[member] for name, t in self.parameters.items()} for member in range(self.members)]

    def fits(self, task: Task) -> bool:
        """Whether its classes are some of the task's, each once and in order."""
        own = range(task.outputs) if self.classes is None else self.classes.tolist()
        return list(own) == sorted(set(own) & set(range(task.outputs)))

    def tensors(self) -> dict[str, Tensor]:
        """All state, for wires and files."""
        seen = {} if self.coordinates is None else self.coordinates.tensors()
        return {**self.parameters, **({} if self.classes is None else {CLASSES: self.classes}), **seen}

    @staticmethod
    def of(tensors: Parameters) -> "Expert":
        """The inverse of `tensors`."""
        models = {n: t for n, t in tensors.items() if n != CLASSES and not n.startswith(COORDINATES)}
        return Expert(models, tensors.get(CLASSES), Coordinates.of(tensors))


@lru_cache(maxsize=1024)
def specialised(
    family: ElasticFamily, task: Task, classes: int | None = None, members: int = 1
) -> tuple[ElasticFamily, Task]:
    """The family and the task of one member: all members together have the parameters of one model of the full task.

    Args:
        classes: how many an expert answers; None: all.
    """
    own = task if classes is None else task.model_copy(update={"outputs": classes})
    if own == task and members == 1:
        return family, task
    return family.sized_to(own, family.parameters(task) // members), own


LEAST_WIDTH = 0.5
"""Share of the family's units that a member of a committee must have."""


def committee(family: ElasticFamily, task: Task, classes: int | None, most: int) -> int:
    """How many members an expert has: as many, up to `most`, as leave each at least half as wide as the family.

    So an expert of few classes, whose head takes little, has more of them.
    """

    def units(kind: ElasticFamily, own: Task) -> int:
        return sum(shape[0] for shape in kind.shapes(own).values() if len(shape) == 1) - own.outputs

    enough = LEAST_WIDTH * units(family, task)
    fitting = (m for m in range(most, 1, -1) if units(*specialised(family, task, classes, m)) >= enough)
    return next(fitting, 1)


def begun(
    prior: Parameters,
    family: ElasticFamily,
    task: Task,
    classes: Int[Tensor, " own"] | None,
    members: int,
    draw: torch.Generator,
) -> dict[str, Tensor]:
    """An expert before training. Several members begin at random, or they would agree; a single one as the prior.

    It keeps the prior's rows for its classes. Units beyond the prior's are drawn at random, and the weights that read
    them in the prior's own units begin at zero: so among its classes it predicts what the prior does.

    Args:
        prior: of one member.
    """
    wider, own = specialised(family, task, None if classes is None else len(classes), members)
    if members > 1:
        return stacked([wider.init(own, draw) for _ in range(members)])
    if classes is None:
        return dict(prior)
    expert = wider.init(own, draw)
    for name, (known,) in prior.items():
        part = known[classes] if name.startswith("head.") else known
        expert[name][: len(part)] = 0.0
        expert[name][corner(part.shape)] = part
    return single(expert)


def trunk_of(family: ElasticFamily, prior: Parameters) -> Trunk:
    """The trunk of a prior of one member; where there is none, nobody may ask for it."""
    return (lambda inputs: family.trunk(prior, inputs[None])[0]) if prior else no_trunk


def gathered(tensors: Parameters) -> dict[int, Expert]:
    """Experts by region, from tensors named `region/name`."""
    regions = sorted({int(name.split("/", 1)[0]) for name in tensors})
    return {region: Expert.of(under(str(region), tensors)) for region in regions}


def scattered(experts: Mapping[int, Expert]) -> dict[str, Tensor]:
    """The inverse of `gathered`."""
    return {f"{region}/{name}": t for region, expert in experts.items() for name, t in expert.tensors().items()}
