"""What a run has finished so far, in its folder: whoever is stopped goes on from there to the same result."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from federation.rules import InputError
from federation.scenario import Scenario
from scenarios.baselines import Contender
from scenarios.runs.folder import RunFolder
from scenarios.runs.scoring import mean_of, worst_of
from server.checkpoint import Checkpoint, Checkpoints

SCORES, FACTORS, TRIED, CHECKPOINTS = "scores.jsonl", "factors.jsonl", "tried.jsonl", "checkpoints"

SHARE = 0.05
"""Share of the time that may go into checkpoints."""


@dataclass(frozen=True)
class Score:
    """One method on one seed.

    `ece` is the expected calibration error on the union test at the calibration that fits held-out samples best,
    `ece_uncalibrated` the same without it, `ece_floor` what chance alone would make of it; None for values.
    `coverage` is the share of the union test of which it is sure, `covered` its score there; None for values, and where
    it is sure of nothing. `by_client` are its scores on clients' own tests, None where one has no test; `measures` what
    its answers to the union test have, by name; `field` its answers on a grid, where these can be drawn. `latency` is
    the median time of a single query on this machine, in microseconds.
    """

    seed: int
    method: str
    union: float
    by_client: list[float | None]
    measures: dict[str, float]
    ece: float | None
    ece_uncalibrated: float | None
    ece_floor: float | None
    coverage: float | None
    covered: float | None
    latency: float
    factor: float
    seconds: float
    contender: Contender
    field: list[float] | None = None

    @property
    def local(self) -> float | None:
        """The mean over clients."""
        return mean_of(self.by_client)

    @property
    def worst_decile(self) -> float | None:
        """The mean over the tenth of the clients with the lowest scores."""
        return worst_of(self.by_client)

    def dump(self) -> dict[str, Any]:
        """Plain data for a line of JSON."""
        return {**vars(self), "contender": self.contender.dump()}

    @staticmethod
    def load(data: Mapping[str, Any]) -> "Score":
        """The inverse of `dump`, but for the answers: these cannot be asked for any more.

        Raises:
            InputError: it was written by another version.
        """
        try:
            return Score(**{**data, "contender": Contender.load(data["contender"])})
        except (TypeError, KeyError) as error:
            raise InputError(f"{SCORES} was written by another version ({error}); begin the run again") from error


class Journal:
    """Scores, learning rates and checkpoints; without a folder, in memory alone and without checkpoints."""

    def __init__(self, folder: RunFolder | None = None) -> None:
        self._folder = folder
        self._scores = {(score.seed, score.method): score for score in map(Score.load, self._lines(SCORES))}
        self._factors: dict[str, tuple[float, ...]] = {
            line["method"]: tuple(line["factors"]) for line in self._lines(FACTORS)
        }

        self._tried: dict[str, dict[float, float]] = {}
        for line in self._lines(TRIED):
            self._tried.setdefault(line["method"], {})[line["factor"]] = float(line["score"])

    def score(self, seed: int, method: str) -> Score | None:
        """That of a method that is finished."""
        return self._scores.get((seed, method))

    def factors(self, method: str) -> tuple[float, ...]:
        """The learning-rate factors of a method that was searched, the best first; none before that."""
        return self._factors.get(method, ())

    def tried(self, method: str) -> Mapping[float, float]:
        """Scores of the learning-rate factors that a search which is not finished has tried."""
        return self._tried.get(method, {})

    def keep_tried(self, method: str, factor: float, score: float) -> None:
        """A factor has been tried."""
        self._tried.setdefault(method, {})[factor] = score
        if self._folder is not None:
            self._folder.append(TRIED, {"method": method, "factor": factor, "score": str(score)})

    def keep_score(self, score: Score) -> None:
        """A method is finished."""
        self._scores[score.seed, score.method] = score
        if self._folder is not None:
            self._folder.append(SCORES, score.dump())

    def keep_factors(self, method: str, factors: tuple[float, ...]) -> None:
        """A search is finished."""
        self._factors[method] = factors
        if self._folder is not None:
            self._folder.append(FACTORS, {"method": method, "factors": factors})

    def checkpoints(self, scenario: Scenario, method: str = "world", factor: float = 1.0) -> Checkpoints | None:
        """Those of a method on the scenario's seed, at a factor on its learning rate."""
        if self._folder is None:
            return None
        where = self._folder.path / CHECKPOINTS / method / f"seed-{scenario.seed}-x{factor:g}"
        return Checkpoints(where, scenario, SHARE)

    def resumed(
        self, scenario: Scenario, method: str = "world", factor: float = 1.0, rounds: int | None = None
    ) -> Checkpoint | None:
        """The last checkpoint, or that after so many rounds; None where a run has not come so far.

        Raises:
            InputError: it cannot be used.
        """
        found = self.checkpoints(scenario, method, factor)
        return found.read(rounds) if found is not None and (found.rounds or rounds is not None) else None

    def close(self) -> None:
        """The results are written: what led to them is not needed any more."""
        if self._folder is not None:
            shutil.rmtree(self._folder.path / CHECKPOINTS, ignore_errors=True)

    def _lines(self, name: str) -> list[dict[str, Any]]:
        return [] if self._folder is None else self._folder.mended_lines(name)
