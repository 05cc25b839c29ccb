"""How far the regions reach, how sure the answers are, and what is made of context."""

from dataclasses import replace

from federation.models import Size
from federation.tensors import Parameters
from federation.wire.contribution import Contribution
from federation.wire.records import KNOWN
from federation.world.confidence import PRODUCTS, TEMPERATURES, Calibration, fitted_calibration
from federation.world.context import chosen_context, context_shape
from federation.world.novelty import BINS, novelty_threshold
from server.bounds import MOST_NATS, Answer, at_most, counts, no_less_than_zero
from server.phases.composition import small_networks
from server.phases.contract import Kind, Now, Told
from server.phases.evidence import FromEvidence
from server.state import ServerState


class Novelty(FromEvidence):
    """Sends gate and head with their composition, and judges it by what comes back."""

    def told(self, now: Now, kind: Kind) -> Told:
        return small_networks(now)

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        sums = {"count": counts(BINS), "composition": no_less_than_zero(BINS), "generalist": no_less_than_zero(BINS)}
        if now.task.classifies:
            sums["calibration"] = no_less_than_zero(len(TEMPERATURES), PRODUCTS)
        return sums | {"context": no_less_than_zero(*context_shape(now.task))}

    def check(self, now: Now, who: str, sums: Parameters, answer: Answer) -> None:
        super().check(now, who, sums, answer)
        if now.task.classifies:
            for losses in ("composition", "generalist"):
                at_most(who, sums, losses, "count", MOST_NATS)
            at_most(who, sums, "calibration", "count")
            at_most(who, sums, "context", "count")

    def advance(self, now: Now, total: Contribution) -> ServerState:
        sums, wanted, task = total.everywhere(), now.scenario.composition, now.task
        known = sums["count"]
        return replace(
            now.state,
            novelty_threshold=novelty_threshold(sums, now.scenario.novelty.quantile),
            known={KNOWN: known},
            calibration=fitted_calibration(sums["calibration"], task.outputs) if task.classifies else Calibration(),
            context=chosen_context(sums["context"], float(known.sum()), wanted.gain, task, wanted.context_router),
        )


SIDE = Novelty()
