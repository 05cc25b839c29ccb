"""Ablation: each part of the world model off in turn, everything else as it was, on the same seeds.

All variants keep the scenario's own learning rate (factor 1, as in `simulate`): a search for each would move more than
the part. What a part is worth is the full model's score minus the score without it, paired by seed. Parts stand in for
one another: what each is alone, a sweep over `composition.parts` tells.

To add a part: a row in ABLATIONS.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from federation.opening import Opened, open_run, override, run_config
from federation.routing import TunedResidual
from federation.rules import InputError, nearest
from federation.scenario import Scenario
from federation.world.composition import Part
from scenarios.reports.experiment_pictures import difference_plot
from scenarios.reports.metric import Metric
from scenarios.reports.sheet import Column, Sheet, interval
from scenarios.runs.experiment import Experiment, Result, by_seed, failures
from scenarios.runs.statistics import differences, mean_interval

FULL, MAIN = "full", "union"
"""The variant with all parts, and the score that is drawn."""


@dataclass(frozen=True)
class Ablation:
    """One part, and how to do without it.

    Attributes:
        name: in tables, JSON and `--parts`.
        title: what is there instead.
        fields: of the scenario, with their values when the part is off; a function where that depends on the scenario.
        there: whether a scenario has the part, where the fields alone do not tell.
    """

    name: str
    title: str
    fields: Mapping[str, Any | Callable[[Scenario], Any]]
    there: Callable[[Scenario], bool] = field(default=lambda scenario: True)

    def off(self, opened: Opened) -> Scenario:
        """The scenario without the part.

        Raises:
            InputError: it does not apply; the message says why.
        """
        scenario, task = opened.scenario, opened.federation().task
        if unknown := [path for path in self.fields if path.split(".")[0] not in Scenario.model_fields]:
            raise InputError(f"scenarios have no field {unknown[0]}")
        if not self.there(scenario):
            raise InputError(f"the scenario has no {self.name}")
        values = {path: value(scenario) if callable(value) else value for path, value in self.fields.items()}
        without = override(scenario, values)
        same_parts = without.parts(task) == scenario.parts(task)
        if same_parts and without.model_copy(update={"composition": scenario.composition}) == scenario:
            raise InputError("the scenario does without it already")
        return without


def _all_but(part: Part) -> Callable[[Scenario], list[Part]]:
    return lambda scenario: [other for other in scenario.composition.parts if other != part]


SHOWN = ("union", "local")
"""Scores of the table, and beside coupling those at seams; the others are in `ablation.json`."""

ABLATIONS = (
    Ablation("experts", "charts, head and generalist answer", {"composition.parts": _all_but("mixture")}),
    Ablation("charts", "experts, head and generalist answer", {"composition.parts": _all_but("charts")}),
    Ablation("head", "charts, experts and generalist answer", {"composition.parts": _all_but("head")}),
    Ablation(
        "tuned_residual",
        "the charts alone route",
        {
            "router.rule.kind": "chart_posterior",
            "router.rule.top": lambda scenario: scenario.router.rule.top,
            "router.rule.temperature": lambda scenario: scenario.router.rule.dump()["temperature"],
        },
        there=lambda scenario: isinstance(scenario.router.rule, TunedResidual),
    ),
    Ablation("committees", "one model a region", {"experts.members": 1}),
    Ablation("own_classes", "experts answer all classes", {"experts.own_classes": False}),
    Ablation("coupling", "neighbouring experts train apart", {"coupling.strength": 0.0}),
    Ablation(
        "prior",
        "experts start afresh, with the prior's rounds on top of theirs",
        {"prior.rounds": 0, "experts.rounds": lambda scenario: scenario.prior.rounds + scenario.experts.rounds},
    ),
    Ablation("covariance", "charts are spheres", {"charts.covariance": "spherical"}),
    Ablation("shared_regions", "a region for each client", {"regions.kind": "private_regions"}),
    Ablation(
        "fixed_point",
        "regions at rest go on training",
        {"fixed_point.residual": None},
        there=lambda scenario: scenario.fixed_point.watched,
    ),
    Ablation("novelty", "the generalist never answers alone", {"novelty.quantile": 1.0}),
    Ablation(
        "encoder",
        "principal components of the raw input",
        {"encoder.kind": "principal_components", "encoder.features.kind": "flat"},
    ),
)
"""All parts, in the order of tables."""


def ablation(
    reference: str, overrides: Mapping[str, Any], seeds: Sequence[int], parts: Sequence[str] | None = None
) -> tuple[Experiment, dict[str, str]]:
    """The full model and each part off in turn; and the parts that do not apply, with the reason.

    Args:
        parts: names of ablations; all without it.
    Raises:
        InputError: an unknown part, or none that applies.
    """
    known = {row.name: row for row in ABLATIONS}
    for name in parts or []:
        if name not in known:
            raise InputError(f"unknown part {name!r}; {nearest(name, list(known))}")
    opened = open_run(run_config(reference, overrides, seeds[0]))
    before = opened.scenario.dump()
    changes, skipped = {FULL: dict[str, Any]()}, dict[str, str]()
    for name, row in known.items():
        if parts is None or name in parts:
            try:
                after = row.off(opened).dump()
                changes[name] = {group: value for group, value in after.items() if value != before[group]}
            except InputError as reason:
                skipped[name] = str(reason)
    if len(changes) == 1:
        raise InputError(f"nothing to ablate; {'; '.join(f'{name}: {reason}' for name, reason in skipped.items())}")
    return Experiment.of(reference, overrides, changes, seeds), skipped


def summarised(experiment: Experiment, results: Sequence[Result], skipped: Mapping[str, str]) -> dict[str, Any]:
    """What `ablation.json` holds: each score of each variant, and the full model's minus it on the same seeds.

    Raises:
        RuntimeError: the full model has no score.
    """
    first = {result.variant: result.composition for result in reversed(results) if not result.failure}
    if FULL not in first:
        raise RuntimeError(f"the full model failed on all seeds; {failures(results)[0]}")
    return {
        "scenario": experiment.scenario.name,
        "metric": experiment.metric,
        "seeds": list(experiment.seeds),
        "scores": {score: _rows(values) for score, values in by_seed(results).items() if _known(values[FULL])},
        "composition": {name: first[name] for name in experiment.variants if name in first},
        "skipped": dict(skipped),
        "failed": failures(results),
    }


def _rows(values: Mapping[str, Sequence[float | None]]) -> dict[str, dict[str, Any]]:
    """One score of the variants that share a seed with the full model."""
    rows = {}
    for name, mine in values.items():
        pairs = [(full, own) for full, own in zip(values[FULL], mine, strict=True) if None not in (full, own)]
        if pairs:
            apart = differences(*zip(*pairs, strict=True))
            rows[name] = {**mean_interval(_known(mine)), "per_seed": list(mine)}
            rows[name]["full_minus"] = {**mean_interval(apart), "per_seed": apart}
    return rows


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def sheet(result: Mapping[str, Any], title: str) -> Sheet:
    """The table and the picture of `ablation.json`, of the scores on test samples."""
    metric = Metric(result["metric"])
    shown = (*SHOWN, "seams") if "coupling" in result["scores"][MAIN] else SHOWN
    scores = {name: result["scores"][name] for name in shown if name in result["scores"]}
    columns = [Column("part off", number=False)]
    for score in scores:
        columns += [Column(score.replace("_", " ")), Column("full minus it")]
    rows = []
    for name in scores[MAIN]:
        cells = [name]
        for held in scores.values():
            row = held.get(name)
            cells.append(metric.value(row["mean"]) if row else "")
            cells.append(interval(row["full_minus"], metric.difference) if row and name != FULL else "")
        rows.append(cells)
    apart = {name: row["full_minus"] for name, row in scores[MAIN].items() if name != FULL}
    return Sheet(
        heading=f"{title}: what each part is worth",
        about=f"Scenario {result['scenario']}, each part of the world model off in turn; "
        f"seeds: {', '.join(map(str, result['seeds']))}",
        columns=columns,
        rows=rows,
        picture=difference_plot(apart, metric),
        caption="Union test: the full model minus the one without the part, on the same seeds; mean, ticks for single "
        "seeds, paired 95 % interval. Right of zero the part helps.",
        notes=[f"{name}: left out, {reason}" for name, reason in result["skipped"].items()] + result["failed"],
        titles={row.name: row.title for row in ABLATIONS if row.name in scores[MAIN]},
    )
