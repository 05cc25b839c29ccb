"""The report of a comparison: one self-contained HTML page, drawn from plain data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from federation.world.confidence import BINS
from federation.world.design import NOTHING_NOVEL
from scenarios.baselines import method
from scenarios.reports import pictures
from scenarios.reports.client_pictures import clients_plot
from scenarios.reports.display import joining_line, measure, readable, worded, worth_line
from scenarios.reports.field_pictures import fields_plot
from scenarios.reports.gathering import plain
from scenarios.reports.metric import Metric, signed
from scenarios.runs.compare import WORLD
from scenarios.runs.served import ALONE, gained

TEMPLATE = "report.html.j2"
TABLED = 32
"""Regions and clients that their tables hold, at most."""
SERVED = (WORLD, "fedavg", ALONE)
"""The methods whose scores are shown client by client, where they were run."""

PARTS = {
    "charts": "the charts' posterior of the labels",
    "mixture": "the routed experts",
    "head": "the head on the charts",
    "prior": "the generalist",
}
UNITS = {
    "total_parameters": "",
    "active_parameters": "",
    "bytes_up": "B",
    "bytes_down": "B",
    "training_flops": "FLOP",
    "budgets": "",
    "query_flops": "FLOP",
    "seconds": "s",
}


def render(comparison_json: Mapping[str, Any], gathered: Mapping[str, Any]) -> str:
    """The report as one HTML page that needs nothing else."""
    comparison, metric = plain(comparison_json), Metric(comparison_json["metric"])
    return page(
        TEMPLATE,
        c=comparison,
        g=gathered,
        metric=metric,
        several=len(comparison["seeds"]) > 1,
        titles=comparison["titles"],
        reusing=[name for name in comparison["budget"] if method(name).reuses_world],
        searched=[name for name in comparison["budget"] if method(name).searched],
        verdicts=_verdicts(comparison["union"], metric),
        tables={protocol: _score_rows(comparison[protocol], metric) for protocol in ("union", "local")},
        context={protocol: _score_rows(comparison["context"][protocol], metric) for protocol in ("union", "local")},
        calibration=_calibration(comparison),
        measures=_measures(comparison),
        served=_served(comparison, metric),
        joining=joining_line(comparison),
        worth=worth_line(comparison),
        bins=BINS,
        pictures={name: Markup(svg) for name, svg in _pictures(comparison, gathered, metric).items()},
        budget={
            name: [_amount(row[field], unit) for field, unit in UNITS.items()]
            for name, row in comparison["budget"].items()
        },
        composition=_composition(gathered),
        regions=_region_rows(gathered["regions"]),
        coverage=_coverage(comparison["novelty"], metric),
        settings=_dotted(gathered["settings"]),
    )


def page(template: str, **values: Any) -> str:
    """One HTML page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(template).render(**values)


def _pictures(comparison: Mapping[str, Any], gathered: Mapping[str, Any], metric: Metric) -> dict[str, str]:
    """All pictures; an empty one where there is nothing to draw."""
    place = comparison["seeds"].index(gathered["seed"])
    finals = {name: row["per_seed"][place] for name, row in comparison["union"].items()}
    phases = [record["phase"] for record in gathered["rounds"] if record["trained"]]
    routing = gathered["routing"]
    return {
        "union": pictures.dot_plot(comparison["union"], metric, "Union test"),
        "local": pictures.dot_plot(comparison["local"], metric, "Local tests"),
        "curves": pictures.learning_curves(gathered["curves"], finals, phases, metric),
        "atlas": pictures.atlas_map(gathered["regions"], gathered["overlaps"], gathered["shares"]),
        "routing": pictures.routing_heatmap(routing["rows"], routing["columns"], routing["gates"]),
        "rounds": pictures.rounds_plot(gathered["rounds"]),
        "fields": fields_plot(gathered["fields"], finals, metric),
        "clients": clients_plot(_of_clients(comparison), metric),
    }


def _measures(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """Means over seeds of whatever else answers are measured by, and what the best constant answer has."""
    columns, floor = comparison["measures"], comparison["floor"]
    found = {name: {column: rows.get(name) for column, rows in columns.items()} for name in comparison["union"]}
    rows = {name: [measure(cell["mean"]) if cell else "" for cell in row.values()] for name, row in found.items()}
    constant = [measure(floor[column]) if column in floor else "" for column in columns]
    return {"columns": [worded(column) for column in columns], "rows": rows, "floor": constant}


def _of_clients(comparison: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """The scores of each client of the first seed, by the methods that tell whom the federation serves."""
    scores = comparison["by_client"]["scores"]
    return {name: scores[name] for name in SERVED if name in scores}


def _served(comparison: Mapping[str, Any], metric: Metric) -> dict[str, Any]:
    """A row for each client: those first who gain least by joining, or whom the world model serves worst."""
    found, scores = comparison["by_client"], _of_clients(comparison)
    gains = gained(scores[WORLD], scores[ALONE]) if ALONE in scores else None
    ranked = sorted((value, number) for number, value in enumerate(gains or scores[WORLD]) if value is not None)
    rows = [
        {
            "client": number,
            "samples": f"{found['samples'][number]:,}",
            "tested": f"{found['tested'][number]:,}",
            "scores": [metric.value(own[number]) for own in scores.values()],
            "gain": metric.difference(value) if gains else "",
        }
        for value, number in ranked[:TABLED]
    ]
    return {"methods": list(scores), "rows": rows, "all": len(ranked)}


def _verdicts(scores: Mapping[str, Any], metric: Metric) -> dict[str, list[dict[str, str]]]:
    """World minus each rival, the worst first: behind, ahead, or open where the paired interval holds zero."""
    found: dict[str, list[dict[str, str]]] = {"behind": [], "open": [], "ahead": []}
    rivals = {name: row["difference"] for name, row in scores.items() if name != WORLD}
    known = {name: row for name, row in rivals.items() if row["mean"] is not None}
    for name, row in sorted(known.items(), key=lambda item: -item[1]["mean"]):
        low, high = _ends(row) or (row["mean"], row["mean"])
        verdict = "behind" if low > 0 else "ahead" if high < 0 else "open"
        interval = f"[{metric.difference(-high)}, {metric.difference(-low)}]" if _ends(row) else ""
        found[verdict].append({"name": name, "difference": metric.difference(-row["mean"]), "interval": interval})
    return found


def _ends(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Both ends of a row's interval, where it has one."""
    low, high = row["ci95"] or (None, None)
    return None if low is None or high is None else (low, high)


def _score_rows(scores: Mapping[str, Any], metric: Metric) -> list[dict[str, Any]]:
    """One table row a method: its score, how sure that is, and how far it is from the world model."""
    rows = []
    for name, row in scores.items():
        minus, own, paired = row["difference"], _ends(row), _ends(row["difference"])
        apart = name != WORLD and minus["mean"] is not None
        rows.append(
            {
                "name": name,
                "mean": metric.value(row["mean"]),
                "interval": " to ".join(map(metric.value, own)) if own else "",
                "difference": metric.difference(minus["mean"]) if apart else "",
                "paired": f"[{', '.join(map(metric.difference, paired))}]" if apart and paired else "",
                "per_seed": [metric.value(score) for score in row["per_seed"]],
            }
        )
    return rows


def _calibration(comparison: Mapping[str, Any]) -> list[dict[str, str]]:
    """Expected calibration error of each method in percent, when calibrated, before that, by chance; best first."""
    rows = [
        {"name": name} | {key: comparison[key][name]["mean"] for key in ("ece", "ece_uncalibrated", "ece_floor")}
        for name in comparison["ece"]
    ]
    return [
        {key: value if key == "name" else f"{100 * value:.1f}\u00a0%" for key, value in row.items()}
        for row in sorted(rows, key=lambda row: row["ece"])
    ]


def _amount(number: float, unit: str) -> str:
    """A number with its unit, written for people."""
    if unit == "s":
        return f"{number:.1f}\u00a0s" if number >= 0.05 else "<\u00a00.1\u00a0s"
    text = readable(number)
    return (text if text[-1].isalpha() else f"{text} ").replace(" ", "\u00a0") + unit


def _composition(gathered: Mapping[str, Any]) -> list[str]:
    """Which parts answer, which were left out, and what is left to the generalist: one sentence each."""
    weights, threshold = gathered["composition"], gathered["novelty_threshold"]
    used = [f"{PARTS.get(part, part)} (weight {weight:g})" for part, weight in weights.items() if weight > 0]
    rest = [PARTS.get(part, part) for part, weight in weights.items() if weight <= 0]
    sentences = [f"On seed {gathered['seed']} the world model answers by {_listed(used)}."]
    if rest:
        sentences.append(f"Left out, since on held-out samples they did not pay for themselves: {_listed(rest)}.")
    if threshold < NOTHING_NOVEL:
        sentences.append(
            f"Queries with a novelty above {signed(f'{threshold:.1f}')} are answered by the generalist alone."
        )
    return sentences


def _region_rows(regions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The largest regions as cells of a table, in their order."""
    largest = sorted(regions, key=lambda region: -region["samples"])[:TABLED]
    rows = []
    for region in sorted(largest, key=lambda region: region["region"]):
        near = region["nearest"]
        rows.append(
            {
                "region": region["region"],
                "group": region["group"],
                "clients": region["clients"],
                "samples": f"{region['samples']:,.0f}",
                "entropy": _cell(region["entropy"], "{:.2f}"),
                "nearest": "" if near is None else f"{near}",
                "overlap": _cell(region["overlap"], "{:.1%}").replace("%", "\u00a0%"),
                "angle": _cell(region["angle"], "{:.0f}°"),
            }
        )
    return rows


def _cell(number: float | None, form: str) -> str:
    return "" if number is None else form.format(number)


def _coverage(novelty: Mapping[str, Any], metric: Metric) -> list[str]:
    """How much of the union test the regions cover, and how well it is answered on both sides: one sentence each."""

    def told(name: str) -> str:
        row = novelty[name]
        ends = _ends(row)
        interval = f" (95\u00a0% interval {metric.value(ends[0])} to {metric.value(ends[1])})" if ends else ""
        return f"{metric.value(row['mean'])}{interval}"

    share, measure = 100 * novelty["share"]["mean"], "accuracy" if metric.percent else "R²"
    sentences = [f"{share:.1f}\u00a0% of the union test is covered: no more novel than the threshold."]
    if novelty["covered"]:
        sentences.append(f"There the world model's {measure} is {told('covered')}.")
    if novelty["rest"]:
        sentences.append(
            f"The rest is answered by the generalist, with {told('rest')}; the composition would have "
            f"{told('rest_composed')} there."
        )
    return sentences


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _dotted(settings: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Lines of dotted keys and values, as `--set` takes them."""
    lines: list[str] = []
    for key, value in settings.items():
        lines += _dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [f"{prefix}{key} = {value}"]
    return lines
