"""A scenario's settings for another method than its world model, for whatever runs a scenario by its settings."""

from collections.abc import Mapping
from typing import Any

from federation.opening import run_config
from federation.rules import InputError
from scenarios.baselines import METHODS, Trial, method
from scenarios.baselines.rival import PLAIN, Rival
from scenarios.runs.engines import HERE


def with_method(name: str | None, rounds: int | None, reference: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides that make the scenario run a method; what is set already and does not determine the method stays.

    Args:
        name: of the method; None for the scenario's own phases.
        rounds: of the method; by default as many as the world model has rounds of gradient steps.
    Raises:
        InputError: the method is no list of phases, does not apply, or one of its settings is overridden.
    """
    if name is None:
        if rounds is not None:
            raise InputError("--rounds are those of --method; a scenario's own phases have rounds each, see --set")
        return dict(overrides)
    one = method(name)
    if not isinstance(one, Rival):
        rivals = ", ".join(known for known, each in METHODS.items() if isinstance(each, Rival))
        raise InputError(
            f"{name} is no list of phases that can be run alone; take one of {rivals}, or run a comparison"
        )
    trial = Trial(run_config(reference, overrides, 0), HERE.fresh, budget=rounds)
    if reason := one.absent(trial):
        raise InputError(f"{name} does not apply: {reason}")
    settings = one.configured(trial.rounds)
    for path in overrides:
        group = path.partition(".")[0]
        if group == "phases" or group in one.settings:
            raise InputError(f"{path}: {name} sets {group} itself; leave one of the two out")
    said = {path.partition(".")[0] for path in overrides}
    return {**overrides, **{group: value for group, value in settings.items() if group not in said & PLAIN.keys()}}
