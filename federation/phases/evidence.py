"""Lets each client download the experts that it reaches, once, and remember their predictions."""

from federation.phases.phase import Kept, Phase

LIKELIHOODS = Kept("evidence/likelihoods")
"""What each expert gives to the targets of the samples to train on; zeros for one that was not downloaded."""

DOWNLOADED = Kept("evidence/downloaded")
"""For each region 1 if its expert was downloaded, else 0."""

EXPERTS, GENERALIST = Kept("evidence/experts"), Kept("evidence/generalist")
"""What each expert, and the generalist, answers to the samples that are held out."""


class Evidence(Phase):
    """Lets each client download the experts that it reaches, once, and remember their predictions."""

    asks_all = True
    remembers = True
    needs = ("reach",)
