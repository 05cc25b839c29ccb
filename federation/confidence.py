"""How sure answers are: a temperature and a doubt, chosen on held-out samples' sums, and how far sureness is from being
right."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from federation.randomness import torch_generator

TEMPERATURES = tuple(2 ** (step / 8) for step in range(-12, 25))
"""What is tried, in steps of 9 %; one is among them."""

DOUBTS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15)
"""What is tried with each of them: the share of an answer that is spread over all classes."""

BINS = 15
"""Bins of equal width, of the probability of the most likely class."""

DRAWS = 100
"""Of who is right, for what chance alone makes of a calibration error."""

LEAST = 1e-9
"""Probabilities below this count as this."""


def cooled(
    answers: Float[Tensor, "*rows outputs"], temperature: float, doubt: float = 0.0
) -> Float[Tensor, "*rows outputs"]:
    """(1 - doubt) p^(1 / T), normalised, + doubt / classes: the most likely class stays.

    Source: temperature scaling, Guo et al. (2017). Of answers that are too sure where they are sure and not sure enough
    elsewhere a temperature alone makes the best of neither; the doubt, which is ours, takes away the first of the two.
    """
    sure = answers if temperature == 1 else (answers.clamp_min(LEAST).log() / temperature).softmax(-1)
    return (1 - doubt) * sure + doubt / answers.shape[-1] if doubt else sure


def calibration_losses(
    answers: Float[Tensor, "samples outputs"], targets: Int[Tensor, " samples"]
) -> Float[Tensor, " tried"]:
    """Squared errors of all probabilities with each doubt at each temperature: sums that clients can add up.

    Source: Brier (1950). Bounded, as nats are not: these would let the few samples decide whose class an answer rules
    out, such as those that are routed to an expert without it.
    """
    cool = [cooled(answers.double(), temperature) for temperature in TEMPERATURES]
    squares = torch.stack([p.square().sum() for p in cool])
    right = torch.stack([p.gather(1, targets.unsqueeze(1)).sum() for p in cool])
    kept = 1 - torch.tensor(DOUBTS, dtype=torch.float64).unsqueeze(1)
    count, even = len(answers), len(answers) / answers.shape[-1]
    return (kept**2 * squares + (1 - kept**2) * even - 2 * (kept * right + (1 - kept) * even) + count).flatten()


def fitted_calibration(sums: Float[Tensor, " tried"]) -> tuple[float, float]:
    """The temperature and the doubt with the least loss; one and none where nothing was held out."""
    doubt, temperature = divmod(int(sums.argmin()), len(TEMPERATURES))
    return (TEMPERATURES[temperature], DOUBTS[doubt]) if bool(sums.any()) else (1.0, 0.0)


def committee_losses(
    logits: Float[Tensor, "members samples outputs"], targets: Int[Tensor, " samples"]
) -> Float[Tensor, " temperatures"]:
    """Squared errors at each temperature of models whose mean answers, the temperature being that of each."""
    return torch.stack([squared_errors((logits.double() / t).softmax(2).mean(0), targets) for t in TEMPERATURES])


def squared_errors(
    answers: Float[Tensor, "*tried samples outputs"], targets: Int[Tensor, " samples"]
) -> Float[Tensor, " *tried"]:
    """Of the probabilities of all classes, over all samples."""
    return (answers - one_hot(targets, answers.shape[-1])).square().sum((-2, -1))


def fitted_temperature(sums: Float[Tensor, " temperatures"]) -> float:
    """The temperature with the least loss; one where nothing was held out."""
    return TEMPERATURES[int(sums.argmin())] if bool(sums.any()) else 1.0


def expected_calibration_error(answers: Float[Tensor, "samples outputs"], targets: Tensor) -> float:
    """sum_b n_b / n |accuracy_b - confidence_b| over bins b of the most likely class' probability.

    A probability on an edge belongs to the lower bin. Source: Guo et al. (2017); Naeini et al. (2015).
    """
    confidence, said = answers.double().max(-1)
    return float(_gaps(confidence, (said == targets)[None])[0])


def calibration_floor(answers: Float[Tensor, "samples outputs"]) -> float:
    """What the expected calibration error would be of answers that are right as often as they say.

    It is not zero, for in a bin of few samples chance alone makes a gap: a mean over draws of who is right. An error
    near it is no evidence of wrong confidence. Source: Vaicenavicius et al. (2019), consistency resampling.
    """
    confidence = answers.double().amax(-1)
    draws = torch.rand(DRAWS, len(confidence), dtype=torch.float64, generator=torch_generator(0, "calibration floor"))
    return float(_gaps(confidence, draws < confidence).mean())


def _gaps(confidence: Float[Tensor, " samples"], right: Bool[Tensor, "draws samples"]) -> Float[Tensor, " draws"]:
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    gaps = torch.zeros(len(right), BINS, dtype=torch.float64).index_add(1, bins, right.double() - confidence)
    return gaps.abs().sum(1) / max(1, len(confidence))
