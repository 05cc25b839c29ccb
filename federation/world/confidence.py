"""How sure answers are: a calibration, chosen on held-out samples' sums, and how far sureness is from being right."""

from collections.abc import Callable, Sequence
from math import exp, log

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from federation.randomness import torch_generator
from federation.rules import Frozen

TEMPERATURES = tuple(2 ** (step / 8) for step in range(-12, 25))
"""What is tried, in steps of 9 %; one is among them."""

KEPT = tuple(step / 10 for step in range(9))
"""Shares of an answer that are tried to be left as they are, with each of them."""

DOUBTS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15)
"""Shares of an answer that are tried to be spread over all classes, with each of both."""

PRODUCTS = 6
"""Sums of which squared errors of all mixtures at one temperature are made."""

BINS = 15
"""Bins of equal width, of the probability of the most likely class."""

DRAWS = 100
"""Of who is right, for what chance alone makes of a calibration error."""

LEAST = 1e-9
"""Probabilities below this count as this."""


class Calibration(Frozen):
    """(1 - kept - doubt) p^(1 / T), normalised, + kept p + doubt / classes: the most likely class stays.

    A temperature alone makes all answers more or less sure; what is kept beside it, and the doubt, tell those that are
    too sure from those that are not sure enough.

    Source: ensemble temperature scaling, Zhang, Kailkhura and Han (2020); Guo et al. (2017) without `kept` and `doubt`.
    """

    temperature: float = 1.0
    kept: float = 0.0
    doubt: float = 0.0

    def __call__(
        self, answers: Float[Tensor, "*rows outputs"], then: Callable[[Tensor], Tensor] = lambda answers: answers
    ) -> Float[Tensor, "*rows outputs"]:
        """Probabilities, calibrated.

        Args:
            then: what else is made of answers, before they are mixed.
        """
        mixed = (1 - self.kept - self.doubt) * then(cooled(answers, self.temperature))
        mixed = mixed + self.kept * then(answers) if self.kept else mixed
        return mixed + self.doubt / answers.shape[-1]

    def between(self, other: "Calibration", share: float) -> "Calibration":
        """A mean with another one, which has what is left of the share: of temperatures, the geometric one."""
        rest = 1 - share
        return Calibration(
            temperature=exp(share * log(self.temperature) + rest * log(other.temperature)),
            kept=share * self.kept + rest * other.kept,
            doubt=share * self.doubt + rest * other.doubt,
        )


def cooled(answers: Float[Tensor, "*rows outputs"], temperature: float) -> Float[Tensor, "*rows outputs"]:
    """p^(1 / T), normalised. Source: temperature scaling, Guo et al. (2017)."""
    return answers if temperature == 1 else (answers.clamp_min(LEAST).log() / temperature).softmax(-1)


def calibration_sums(
    answers: Float[Tensor, "samples outputs"], targets: Int[Tensor, " samples"]
) -> Float[Tensor, "temperatures 6"]:
    """What clients add up to tell the squared errors of each calibration that is tried."""
    answers = answers.double()
    return products(torch.stack([cooled(answers, temperature) for temperature in TEMPERATURES]), answers, targets)


def products(
    cool: Float[Tensor, "temperatures samples outputs"],
    plain: Float[Tensor, "samples outputs"],
    targets: Int[Tensor, " samples"],
) -> Float[Tensor, "temperatures 6"]:
    """Sums over samples and classes: of cooled answers with themselves, with the plain ones and with what is right; of
    the plain ones with themselves and with what is right; and the samples."""
    right = targets.unsqueeze(1)
    with_right = cool.gather(2, right.expand(len(cool), -1, 1)).sum((1, 2))
    fixed = torch.stack([plain.square().sum(), plain.gather(1, right).sum(), plain.new_tensor(float(len(plain)))])
    varied = torch.stack([cool.square().sum((1, 2)), (cool * plain).sum((1, 2)), with_right], 1)
    return torch.cat([varied, fixed.expand(len(cool), -1)], 1).double()


def calibration_losses(
    sums: Float[Tensor, "*tried temperatures 6"], outputs: int
) -> Float[Tensor, "*tried temperatures kept doubts"]:
    """Squared errors of all probabilities at each temperature, with each share that is kept, and with each doubt.

    Source: Brier (1950). Bounded, as nats are not: these would let the few samples decide whose class an answer rules
    out, such as those that are routed to an expert without it.
    """
    cool, both, right, plain, plain_right, count = sums[..., None, None].unbind(-3)
    kept, doubt = torch.tensor(KEPT, dtype=sums.dtype)[:, None], torch.tensor(DOUBTS, dtype=sums.dtype)
    share, even = 1 - kept - doubt, count / outputs
    squares = share**2 * cool + kept**2 * plain + doubt**2 * even
    crossed = share * kept * both + (share + kept) * doubt * even
    return squares + 2 * crossed - 2 * (share * right + kept * plain_right + doubt * even) + count


def fitted_calibration(sums: Float[Tensor, "temperatures 6"], outputs: int) -> Calibration:
    """The calibration with the least loss; none where nothing was held out."""
    if not bool(sums.any()):
        return Calibration()
    return calibration_at(int(calibration_losses(sums, outputs).argmin()))


def calibration_at(place: int, temperatures: Sequence[float] = TEMPERATURES) -> Calibration:
    """The calibration that has the loss at a place among all losses."""
    temperature, mixture = divmod(place, len(KEPT) * len(DOUBTS))
    kept, doubt = divmod(mixture, len(DOUBTS))
    return Calibration(temperature=temperatures[temperature], kept=KEPT[kept], doubt=DOUBTS[doubt])


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
