"""Selects, of several encoders, the one whose charts tell held-out samples best."""

from federation.phases.phase import Phase


class Choice(Phase):
    """Selects, of several encoders, the one whose charts tell held-out samples best."""

    asks_all = True
    needs = ("charts",)
