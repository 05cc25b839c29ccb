"""Learning rates: the search for the best, and what is done where the best one fails."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf

import torch

from scenarios.baselines import Contender, Method, Trial
from scenarios.baselines.contract import Run
from scenarios.runs.progress import Progress
from scenarios.runs.scoring import on_held_out
from server.advancing import RoundLostError

EXTENSIONS = 2
"""How often a search may move past the end of its grid, when the best factor lies there."""


def searched(
    method: Method,
    trial: Trial,
    progress: Progress,
    known: Mapping[float, float] | None = None,
    keep: Callable[[float, float], None] = lambda factor, score: None,
) -> tuple[float, ...]:
    """Learning-rate factors by their score on samples held out inside the federation after short runs, the best first.

    Where the best lies at the end of the grid, the grid is continued in that direction.

    Args:
        known: scores of factors that have been tried before.
        keep: told of each factor that is tried now, with its score.
    """
    search = trial.scenario.search
    grid = sorted(search.factors)
    if not method.searched or len(grid) < 2:
        return (grid[len(grid) // 2] if method.searched else 1.0,)
    found: dict[float, float] = dict(known or {})

    def measure(factor: float) -> None:
        if factor in found:
            return
        short = replace(trial, factor=factor, share=search.share)
        progress.begin(f"{method.name}, learning rate x{factor:g}", rounds_of(method, short))
        found[factor] = -inf
        with suppress(RoundLostError):
            found[factor] = on_held_out(method.run(short), trial.federation)
        keep(factor, found[factor])

    for factor in grid:
        measure(factor)
    for _ in range(EXTENSIONS):
        best = max(found, key=found.__getitem__)
        beyond = {max(found): best * grid[-1] / grid[-2], min(found): best * grid[0] / grid[1]}.get(best)
        if beyond is None:
            break
        measure(beyond)
    return tuple(sorted(found, key=found.__getitem__, reverse=True))


def at_best(
    trial: Trial, factors: Sequence[float], train: Callable[[Trial], tuple[Contender, Run | None]]
) -> tuple[float, Contender, Run | None]:
    """What a whole run trains at the first factor at which it learns, and that factor.

    What went well in a short run, or on another seed, may diverge in a whole one, or fall to one answer for everything:
    then the next factor is tried. Where none learns, the best of all is taken.

    Raises:
        RoundLostError: every run has lost a round.
    """
    if len(factors) == 1:
        return (factors[0], *train(replace(trial, factor=factors[0])))
    floor = trial.task.constant_score(torch.cat([client.held_out.targets for client in trial.federation.clients]))
    fallen: list[tuple[float, tuple[float, Contender, Run | None]]] = []
    for factor in factors:
        try:
            trained, run = train(replace(trial, factor=factor))
        except RoundLostError as error:
            lost = error
            continue
        score = on_held_out(trained, trial.federation)
        if not score <= floor:
            return factor, trained, run
        fallen.append((score, (factor, trained, run)))
    if not fallen:
        raise lost
    return max(fallen, key=lambda scored: scored[0])[1]


def rounds_of(method: Method, trial: Trial) -> int:
    """How many rounds are reported as done while a method is trained."""
    return trial.rounds if method.searched else 1
