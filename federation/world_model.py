"""The world model: charts, experts, router, head and generalist, composed into one answer. Saved without pickles."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from federation.data.preparation import Preparation
from federation.learning.experts import Expert, gathered, scattered, trunk_of
from federation.manifold import Atlas, Encoder, Survey
from federation.models import Size
from federation.models.cost import Cost, leading
from federation.routing import Gates
from federation.rules import InputError
from federation.tensors import Parameters, count, dense, prefixed, single, under
from federation.world.checking import check_fit
from federation.world.composition import pooled
from federation.world.confidence import Calibration
from federation.world.context import label_shifted, numbered
from federation.world.design import VERSION, Design
from federation.world.reading import read_manifest, read_weights

MANIFEST, WEIGHTS = "world_model.json", "world_model.safetensors"
SMALL = ("router", "head", "prior", "head_sums")
"""The fields of a world model that are named tensors and nothing else."""

LEAST_LOGIT = -30.0
"""Lower bound of the chart posterior's logits: of a label that no client has, too."""


@dataclass(frozen=True)
class Query:
    """Samples, where they lie, and what the charts say of them."""

    rows: Float[Tensor, "samples *shape"]
    latent: Float[Tensor, "samples latent"]
    survey: Survey


@dataclass(frozen=True)
class WorldModel:
    """Many experts that answer as one model.

    `experts` holds each region's; a client may hold those alone that its samples reach. `head` and `router` may be
    empty: then they are not asked. `head_sums` are those that the head's last layer is made of, where it is made of
    sums alone: with those of another world model they make the head of both.
    """

    design: Design
    encoder: Encoder
    atlas: Atlas
    experts: Mapping[int, Expert]
    router: Parameters
    head: Parameters
    prior: Parameters
    head_sums: Parameters = field(default_factory=dict)

    @cached_property
    def regions(self) -> Atlas:
        """The charts by which queries are routed."""
        return self.atlas.merged() if self.design.whole_regions else self.atlas

    def predict(
        self, inputs: Any, context: Tensor | NDArray[np.int64] | None = None
    ) -> Float[Tensor, "samples outputs"]:
        """Probabilities of the classes, or the predicted values; the generalist's, where a query is too novel.

        Args:
            inputs: an array or tensor; of a model of one's own data also a frame, as `Preparation.inputs` has it.
            context: a number for each query. Those with the same number come from one client, and help to answer one
                another; those with -1 come alone.
        Raises:
            InputError: inputs of the wrong shape, NaN or infinity among them, or not one number of context for each.
        """
        return self.design.preparation.answers(self._predicted(self.query(inputs), context))

    def _predicted(self, query: Query, context: Tensor | NDArray[np.int64] | None) -> Float[Tensor, "samples outputs"]:
        """Answers in the units in which the models were trained."""
        known = self.design.context
        if context is None or not known.used:
            return self.design.calibration(self._answers(query))
        group = numbered(context, len(query.rows))
        answers = self._answers(query, group if known.router else None)
        alone = (torch.bincount(group)[group] == 1).unsqueeze(1)
        return torch.where(alone, self.design.calibration(answers), self._in_context(answers, group))

    def _answers(self, query: Query, group: Int[Tensor, " samples"] | None = None) -> Float[Tensor, "samples outputs"]:
        """The composition's answers, the generalist's where a query is novel."""
        weights = {part: weight for part, weight in self.design.composition.items() if weight > 0}
        answers = pooled(self.parts(query, tuple(weights), group), weights, self.design.task)
        novel = query.survey.novelty() > self.design.novelty_threshold
        if bool(novel.any()):
            answers = answers.clone()
            answers[novel] = self.generalist(query.rows[novel])
        return answers

    def uncalibrated(self) -> "WorldModel":
        """The same without calibration, with and without context."""
        context = self.design.context.model_copy(update={"calibration": Calibration()})
        return replace(self, design=self.design.model_copy(update={"calibration": Calibration(), "context": context}))

    def _in_context(
        self, answers: Float[Tensor, "samples outputs"], group: Int[Tensor, " samples"]
    ) -> Float[Tensor, "samples outputs"]:
        """Calibrated answers, how often a group meets each class being inferred from its own."""
        known = self.design.context
        if known.prior is None:
            return known.calibration(answers)
        shift = partial(label_shifted, group=group, union=torch.tensor(self.design.labels), prior=known.prior)
        return known.calibration(answers, then=shift)

    def at(self, size: Size) -> "WorldModel":
        """The same world with the leading slice of each expert, for a device that asks for less.

        Charts, router and head stay, as does a prior that the encoder asks. Slices answer well where they were trained
        to (`sizes.kind=tiers`).
        """

        def cut(whole: Expert) -> Expert:
            kind, own = whole.kind(self.design.family, self.design.task, self.design.readout)
            return whole.with_models(dense(kind.slice(whole.parameters, own, size)))

        experts = {region: cut(expert) for region, expert in self.experts.items()}
        sizes = tuple(own.least(size) for own in self.design.sizes)
        prior = self.prior if self.design.encoder.uses_prior else cut(Expert(self.prior)).parameters
        design = self.design.model_copy(update={"size": self.design.size.least(size), "sizes": sizes})
        return replace(self, design=design, experts=experts, prior=prior)

    def novelty(self, inputs: Any) -> Float[Tensor, " samples"]:
        """-log density of the atlas; above `design.novelty_threshold` no region knows the sample."""
        return self.query(inputs).survey.novelty()

    def route(self, inputs: Any) -> Float[Tensor, "samples regions"]:
        """The gate of each region's expert; all but the router's top ones are zero."""
        return self.gates(self.query(inputs)).spread(self.design.regions)

    def query(self, inputs: Any) -> Query:
        """Inputs as all parts see them.

        Raises:
            InputError: inputs of the wrong shape, or NaN or infinity among them.
        """
        rows = self.design.task.rows(self.design.preparation.inputs(inputs))
        latent = self.encoder(rows)
        return Query(rows, latent, self.design.router.survey(self.regions, latent))

    def parts(
        self, query: Query, names: tuple[str, ...], group: Int[Tensor, " samples"] | None = None
    ) -> dict[str, Float[Tensor, "samples outputs"]]:
        """The answers of the named parts, each on its own; samples of one group share their experts."""
        answers = {}
        charts = self.chart_logits(query) if self.design.task.classifies and {"charts", "head"} & set(names) else 0.0
        if "charts" in names and isinstance(charts, Tensor):
            answers["charts"] = charts.softmax(-1)
        if "head" in names:
            read = self.design.head.reads(query.rows, query.latent)
            outputs = charts + self.design.head.apply(single(self.head), read[None])[0]
            answers["head"] = self.design.task.answers(outputs)
        if "mixture" in names:
            answers["mixture"] = self.mixture(query.rows, self.gates(query, group))
        if "prior" in names:
            answers["prior"] = self.generalist(query.rows)
        return answers

    def gates(self, query: Query, group: Int[Tensor, " samples"] | None = None) -> Gates:
        """Which experts the router asks."""
        return self.design.router.gates(self.router, query.latent, query.survey, group)

    def chart_logits(self, query: Query) -> Float[Tensor, "samples labels"]:
        """The cooled chart posterior of the labels, as logits.

        Of labels that nobody could chart it knows nothing: they have the mean of all others, for the head to tell.
        """
        same = self.regions is self.atlas
        survey = query.survey if same else self.design.router.survey(self.atlas, query.latent)
        scores = survey.label_scores(self.design.task.outputs)
        relative = self.design.chart_temperature * (scores - scores.amax(1, keepdim=True))
        logits = relative.clamp_min(LEAST_LOGIT).float()
        if self.design.uncharted:
            logits[:, list(self.design.uncharted)] = logits[:, torch.unique(self.atlas.label)].mean(1, keepdim=True)
        return logits

    def mixture(self, rows: Float[Tensor, "samples *shape"], gate: Gates) -> Float[Tensor, "samples outputs"]:
        """sum_i g_i(x) p_i(y|x); an expert sees only the samples that are routed to it."""
        answers = torch.zeros(len(rows), self.design.task.outputs)
        for region in torch.unique(gate.regions[gate.weights > 0]).tolist():
            weight = torch.where(gate.regions == region, gate.weights, 0.0).sum(1)
            mine = weight > 0
            answers[mine] += weight[mine, None] * self.expert(region, rows[mine])
        return answers

    def expert(self, region: int, rows: Float[Tensor, "samples *shape"]) -> Float[Tensor, "samples outputs"]:
        """One expert's own answers."""
        return self.experts[region].answers(self.design.family, self.design.task, rows, self.design.readout)

    def generalist(self, rows: Float[Tensor, "samples *shape"]) -> Float[Tensor, "samples outputs"]:
        """The foundation prior's answers."""
        return Expert(self.prior).answers(self.design.family, self.design.task, rows)

    def cost(self, composition: Mapping[str, float] | None = None) -> Cost:
        """Parameters and multiply-adds of the parts in use, router and encoder included.

        The generalist, which answers only novel queries, counts among the total and not among the active. Of experts
        of several sizes, a query asks the largest. An encoder that asks the prior makes all of it active.
        """
        design, family, task = self.design, self.design.family, self.design.task
        used = {part for part, weight in (composition or design.composition).items() if weight > 0}
        charts = self.atlas if used & {"charts", "head"} else self.regions
        shared = self.encoder.parameters + charts.parameters if used - {"prior"} else 0
        shared += count(self.router) if "mixture" in used else 0
        head = design.head.constants(task) + count(self.head) if "head" in used else 0
        answered = design.head.multiplies(task, self.head) if "head" in used else 0
        experts = self.cost_of_experts(design.router.asked(self.regions)) if "mixture" in used else Cost(0, 0, 0)
        prior, size = "prior" in used or self.design.encoder.uses_prior, design.size_of_prior
        return Cost(
            total_parameters=shared + head + experts.total_parameters + family.parameters(task, size),
            active_parameters=shared + head + experts.active_parameters + prior * family.parameters(task, size),
            query_flops=experts.query_flops + 2 * (shared + answered + prior * family.multiplies(task, size)),
        )

    def cost_of_experts(self, asked: float | int) -> Cost:
        """The experts' own part of the cost, where a query asks so many of them on average: the largest."""
        design, sizes, multiplies = self.design, [], []
        for region, expert in self.experts.items():
            kind, own = expert.kind(design.family, design.task, design.readout)
            size, seen = design.size_of(region), expert.coordinates.parameters if expert.coordinates else 0
            sizes.append(expert.members * kind.parameters(own, size) + seen)
            multiplies.append(expert.members * kind.multiplies(own, size) + seen)
        largest, dearest = (leading(each, asked) for each in (sizes, multiplies))
        return Cost(sum(sizes), largest, 2 * dearest)

    def tensors(self) -> dict[str, Tensor]:
        """All of it that is not its design, by `part/name`."""
        tensors = prefixed("encoder", self.encoder.weights) | prefixed("atlas", self.atlas.tensors())
        tensors |= prefixed("experts", scattered(self.experts))
        for name in SMALL:
            tensors |= prefixed(name, getattr(self, name))
        return tensors

    def save(self, folder: Path, preparation: Preparation | None = None) -> None:
        """Write the model as JSON and safetensors into an existing folder.

        Args:
            preparation: what was done to the raw rows on which it was trained; the saved model does it to its queries.
        """
        design = self.design.model_copy(update={"preparation": preparation or self.design.preparation})
        save_file(dense(self.tensors()), folder / WEIGHTS)
        (folder / MANIFEST).write_text(json.dumps(design.dump(), indent=2) + "\n", encoding="utf-8")

    @staticmethod
    def load(folder: str | Path) -> "WorldModel":
        """Read what `save` wrote.

        Raises:
            InputError: the folder holds no world model, or one of a newer version, or a damaged one.
        """
        try:
            manifest = read_manifest(Path(folder) / MANIFEST, VERSION)
            weights = read_weights(Path(folder) / WEIGHTS, manifest)
            world = WorldModel.of(Design.model_validate(manifest), weights)
            world.check()
        except Exception as error:  # whoever wrote the files may have written anything
            cause = " ".join(str(error).split())[:300] or type(error).__name__
            raise InputError(
                f"{folder} holds no readable world model ({cause}); give the folder of a finished run"
            ) from error
        return world

    @staticmethod
    def of(design: Design, tensors: Parameters) -> "WorldModel":
        """A world model from its design and its named tensors."""
        return WorldModel(
            design,
            Encoder(design.encoder, under("encoder", tensors), trunk_of(design.family, under("prior", tensors))),
            Atlas.from_tensors(design.regions, under("atlas", tensors)),
            gathered(under("experts", tensors)),
            *(under(name, tensors) for name in SMALL),
        )

    def check(self) -> None:
        """Whether all weights have the shapes that the design asks for, and answer.

        Raises:
            ValueError: a part lacks a weight, has one of another shape, or gives answers that are none.
        """
        check_fit(self.design, self.atlas, self.experts, {name: getattr(self, name) for name in SMALL})
        bare = replace(self, design=self.design.model_copy(update={"preparation": Preparation()}))
        for rows in (torch.zeros(2, *self.design.task.input_shape), torch.ones(2, *self.design.task.input_shape)):
            for answers in (bare.predict(rows), bare.predict(rows, torch.zeros(2, dtype=torch.int64))):
                if answers.shape != (2, self.design.task.outputs) or not bool(answers.isfinite().all()):
                    raise ValueError("it answers with NaN, infinity, or of another shape than its task")
