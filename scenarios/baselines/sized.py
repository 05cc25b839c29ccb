"""The world model as smaller devices ask it: each expert's leading slice, cut out of the one that was trained."""

from fractions import Fraction

from federation.models import Size
from scenarios.baselines.contract import Contender, Method, Trial
from scenarios.baselines.running import contender


class Sized(Method):
    """The same run at a share of its experts' width."""

    searched, reuses_world = False, True

    def __init__(self, width: Fraction) -> None:
        self.size = Size(width=float(width))
        self.name = f"world_{width.numerator}_{width.denominator}"
        self.title = f"the world model with experts of {width} of their width, cut out of the trained ones"

    def absent(self, trial: Trial) -> str:
        trained = {size.width for size in trial.scenario.sizes.sizes}
        return "" if self.size.width in trained else "no client trains slices of this width; see sizes.kind=tiers"

    def run(self, trial: Trial) -> Contender:
        run = trial.finished()
        return contender(run, model=run.outcome.world.at(self.size))


HALF, QUARTER, EIGHTH = (Sized(Fraction(1, part)) for part in (2, 4, 8))
