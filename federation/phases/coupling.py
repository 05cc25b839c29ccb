"""Goes on with the experts' training, and draws neighbours together where their regions meet."""

from federation.phases.phase import Kept, Phase

SCORES = Kept("coupling/scores")
"""Of a client's samples to train on: scores of its region and of the neighbours."""


class Coupling(Phase):
    """Goes on with the experts' training, and draws neighbours together where their regions meet."""

    elastic = True
    by_region = True
    trains = True
    remembers = True
    continues = "experts"
    needs = ("charts",)
