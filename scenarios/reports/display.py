"""What the terminal shows: progress bars on standard error, tables on standard output."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from scenarios.reports.metric import Metric

FREQUENT = 1.5
"""From how many times its even share on the most frequent class hides how the others fare."""
TABLED = 2
"""Errors in units of their own that a short table holds, at most."""


class Bars:
    """One bar for what runs now: rounds (or another unit) done, time taken and time left."""

    def __init__(self, unit: str = "rounds") -> None:
        self._progress = Progress(
            TextColumn("{task.description:34}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("starting", total=None)

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, label: str, rounds: int) -> None:
        """A new piece of work."""
        self._progress.reset(self._task, description=label, total=rounds)

    def advance(self) -> None:
        """One round is done."""
        self._progress.advance(self._task)


def simulation_lines(result: Mapping[str, Any]) -> None:
    """The scores and the place of a finished simulation."""
    console = Console()
    console.print(f"union test  {result['metric']} [bold]{result['union']:.4f}[/]  (one test set, client unknown)")
    if measures := telling(result["floor"], list(result["measures"])):
        told = ", ".join(f"{worded(name)} {measure(result['measures'][name])}" for name in measures)
        console.print(f"            {told}; {floor_line(result['floor'], result['metric'])}")
    if result["local"] is not None:
        console.print(
            f"local tests {result['metric']} [bold]{result['local']:.4f}[/]  (each client's own, mean; "
            f"worst decile {result['worst_decile']:.4f})"
        )
    if "regions" in result:
        _world_lines(console, result)
    if result["clock"]:
        console.print(
            f"virtual time {result['clock'] / 3600:.2f} h; {result['silent']} asked clients did not answer in time"
        )
    console.print(f"{'world model' if 'regions' in result else 'model'} in {result['out']}")


def telling(floor: Mapping[str, float], measures: Sequence[str]) -> list[str]:
    """The measures that a short table shows beside the score: the balanced accuracy, where one class is so frequent
    that accuracy tells little; errors of a few values in their units; and all functions of the user's own."""
    shown = [name for name in measures if name.startswith("rmse")]
    if len(shown) > TABLED:
        shown = []
    if floor["score"] >= FREQUENT * floor.get("balanced_accuracy", 1.0):
        shown.append("balanced_accuracy")
    return [name for name in measures if name in shown or ":" in name]


def floor_line(floor: Mapping[str, float], metric: str) -> str:
    """What the best constant answer is worth."""
    told = ", ".join(f"{worded(name)} {measure(floor[name])}" for name in telling(floor, list(floor)))
    constant = "the most frequent class" if "balanced_accuracy" in floor else "the mean"
    return f"{constant} alone: {metric} {floor['score']:.4f}{', ' if told else ''}{told}"


def worded(name: str) -> str:
    """A measure's name for people; functions keep theirs."""
    return name if ":" in name else name.replace("_", " ")


def measure(value: float) -> str:
    """A measure in whatever unit."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def worth_line(result: Mapping[str, Any]) -> str:
    """What the experts add to the other parts on the union test; empty where no world model was compared."""
    used = [each.get("mixture", 0.0) > 0 for each in result["composition_per_seed"]]
    if not (worth := result["experts_worth"]):
        return ""
    if not any(used):
        return "Experts are not used here: regions do not differ in kind."
    metric = Metric(result["metric"])
    ends = ", ".join(map(metric.difference, worth["ci95"])) if worth["ci95"] else ""
    interval = f"paired 95\u00a0% interval [{ends}]" if ends else "one seed, no interval"
    unit = "points of accuracy" if metric.percent else "of R²"
    some = "" if all(used) else f"; {sum(used)} of {len(used)} seeds use them"
    return f"Experts are worth {metric.difference(worth['mean'])} {unit} on the union test ({interval}{some})."


def joining_line(result: Mapping[str, Any]) -> str:
    """Whom joining serves, and how the worst off fare; empty where no client has a test of its own."""
    worst = {name: row["mean"] for name, row in result["worst_decile"].items()}
    yardstick = result["yardstick"]
    told: list[str] = []
    if joining := result["by_client"]["joining"].get(yardstick):
        told.append(f"joining helps {joining['helps']} of {joining['of']} clients and hurts {joining['hurts']}")
    if yardstick in worst:
        others = ", ".join(f"{name} {worst[name]:.4f}" for name in ("fedavg", "local") if name in worst)
        told.append(f"worst decile {worst[yardstick]:.4f}" + (f" ({others})" if others else ""))
    return "; ".join(told)


def _world_lines(console: Console, result: Mapping[str, Any]) -> None:
    """What only a world model has."""
    parts = ", ".join(f"{part} {weight:g}" for part, weight in result["composition"].items() if weight)
    console.print(_covered(result["novelty"], result["metric"]))
    if bound := result["union_bound"]:
        console.print(
            f"union bound error {bound['measured']:.4f}; its regions' {bound['regions']:.4f} + wrong routes "
            f"{bound['routing']:.4f}"
        )
    if result["seams"] is not None:
        console.print(
            f"seams       {result['metric']} [bold]{result['seams']:.4f}[/]  (union test, between regions only)"
        )
    if torn := result["jump"]:
        console.print(
            f"jump        {100 * torn['value']:.3f} % of the targets' deviation where one expert follows another; "
            f"of the slope {torn['slope']:.2f}"
        )
    console.print(f"{result['clients']} clients, {result['regions']} regions; answers by {parts}")
    if rest := result["resting"]:
        stable = sum(region["stable"] for region in rest["regions"])
        console.print(f"{stable} regions came to rest, which saved {100 * rest['saved']:.0f} % of the experts' updates")
    if grown := result["grown"]:
        console.print(f"changed between rounds: {'; '.join(grown)}")


def _covered(novelty: Mapping[str, float | None], metric: str) -> str:
    """How much of the union test the regions cover, and who answers the rest how well."""
    share, covered, rest, composed = (novelty[name] for name in ("share", "covered", "rest", "rest_composed"))
    parts = [f"covered     {100 * (share or 0.0):.1f} % of the union test"]
    if covered is not None:
        parts.append(f"{metric} {covered:.4f} there")
    if rest is not None:
        parts.append(f"the generalist's {rest:.4f} on the rest, where the composition's is {composed:.4f}")
    return "; ".join(parts)


def plan_tables(result: Mapping[str, Any]) -> None:
    """What each phase takes, and the memory of the whole."""
    console, rows = Console(), {row["phase"]: row for row in result["phases"]}
    columns = ("rounds", "clients", "bytes_down", "bytes_up", "seconds")
    console.print(_numbers(f"A round of each phase, {result['workers']} workers", "phase", columns, rows))
    down, up, seconds = (readable(result[name]) for name in ("bytes_down", "bytes_up", "seconds"))
    console.print(
        f"whole run: {down} bytes down, {up} up, {seconds} seconds; rehearsed with {result['rehearsed']} clients"
    )
    for part, size in result["memory"].items():
        console.print(f"{size / 2**20:10,.0f} MiB  {part}")
    total, free = sum(result["memory"].values()) / 2**20, result["available"] / 2**20
    console.print(
        f"{total:10,.0f} MiB  in all, of {free:,.0f} MiB free: {'fits' if result['fits'] else 'DOES NOT FIT'}"
    )
    console.print(f"{result['cohort']} clients are trained at once; memory has room for {result['largest_cohort']:,}")


def comparison_tables(result: Mapping[str, Any], out: Path) -> None:
    """The two protocols, each in a table of its own, calibration, what context adds, and the budgets."""
    console = Console()
    shown = telling(result["floor"], list(result["measures"]))
    title = "Union test: one test set from all regions, the client unknown"
    console.print(_scores(result, result["union"], title, shown))
    console.print(floor_line(result["floor"], result["metric"]))
    if worth := worth_line(result):
        console.print(worth)
    if result["local"]:
        console.print(_scores(result, result["local"], "Local tests: each client's own samples, mean over clients"))
        console.print(joining_line(result))
    if result["ece"]:
        console.print(_calibration(result))
    for protocol, rows in result["context"].items():
        if rows and protocol in ("union", "local"):
            title = f"With context, {protocol}: samples of one client come together, without their labels"
            console.print(_scores(result, rows, title))
    console.print(_budgets(result["budget"]))
    for name, reason in result["skipped"].items():
        console.print(f"{name}: left out, {reason}")
    console.print(f"report: {out / 'report.html'}" if result["composition"] else f"results in {out}")
    if result["composition"] and result["drawn"]:
        console.print(f"what each method answers, side by side: {out / 'report.html'}#fields", soft_wrap=True)


def _scores(result: Mapping[str, Any], rows: Mapping[str, Any], title: str, measures: Sequence[str] = ()) -> Table:
    table, titles = Table(title=title, title_justify="left"), result["titles"]
    others = [worded(name) for name in measures]
    for column in ("method", result["metric"], "95 % interval", f"minus {result['yardstick']}", *others, "what"):
        table.add_column(column, justify="left" if column in ("method", "what") else "right")
    for name, row in rows.items():
        interval = f"{row['ci95'][0]:.4f} .. {row['ci95'][1]:.4f}" if row["ci95"] else "one seed"
        found = [result["measures"][column].get(name) for column in measures]
        beside = [measure(each["mean"]) if each else "" for each in found]
        table.add_row(name, f"{row['mean']:.4f}", interval, f"{row['difference']['mean']:+.4f}", *beside, titles[name])
    return table


def _calibration(result: Mapping[str, Any]) -> Table:
    """Expected calibration errors; all methods were calibrated on the same held-out samples."""
    columns = {"calibrated": "ece", "before": "ece_uncalibrated", "by_chance": "ece_floor"}
    rows = {name: {c: result[key][name]["mean"] for c, key in columns.items()} for name in result["ece"]}
    return _numbers("Union test: expected calibration error", "method", tuple(columns), rows)


def _budgets(budget: Mapping[str, Mapping[str, float]]) -> Table:
    columns = (
        "total_parameters",
        "active_parameters",
        "bytes_up",
        "bytes_down",
        "training_flops",
        "budgets",
        "query_flops",
        "seconds",
    )
    return _numbers("Budgets", "method", columns, budget)


def _numbers(title: str, first: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """A table of readable numbers, a named row each; a row may hold more than its columns."""
    table = Table(title=title, title_justify="left")
    for column in (first, *columns):
        table.add_column(column.replace("_", " "), justify="left" if column == first else "right")
    for name, row in rows.items():
        table.add_row(name, *(readable(row[column]) for column in columns))
    return table


def readable(number: float) -> str:
    """A number with a unit prefix: 12.3 k, 4.56 G."""
    for prefix, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= 0.9995 * scale:
            return f"{number / scale:.3g} {prefix}"
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"
