"""Tunes the gate, the experts being fixed."""

from federation.phases.phase import Phase


class Router(Phase):
    """Tunes the gate, the experts being fixed."""

    trains = True
    recalls = ("reach", "evidence")
