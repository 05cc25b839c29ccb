"""Goes on with the experts' training, and draws neighbours together where their regions meet."""

from federation.phases.phase import Phase


class Coupling(Phase):
    """Goes on with the experts' training, and draws neighbours together where their regions meet."""

    elastic = True
    trains = True
    remembers = True
    continues = "experts"
    needs = ("charts",)
