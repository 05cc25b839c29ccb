"""How far the regions reach, how sure the answers are, and what is made of context."""

from dataclasses import replace

from federation.models import Size
from federation.tensors import Shapes
from federation.wire.contribution import Contribution
from federation.wire.records import KNOWN
from federation.world.confidence import PRODUCTS, TEMPERATURES, Calibration, fitted_calibration
from federation.world.context import chosen_context, context_shape
from federation.world.novelty import BINS, novelty_threshold
from server.phases.composition import small_networks
from server.phases.contract import Kind, Now, Told
from server.phases.evidence import FromEvidence
from server.state import ServerState


class Novelty(FromEvidence):
    """Sends gate and head with their composition, and judges it by what comes back."""

    def told(self, now: Now, kind: Kind) -> Told:
        return small_networks(now)

    def answer(self, now: Now, region: int, size: Size) -> Shapes:
        sums: Shapes = dict.fromkeys(("count", "composition", "generalist"), (BINS,))
        sums |= {"calibration": (len(TEMPERATURES), PRODUCTS)} if now.task.classifies else {}
        return sums | {"context": context_shape(now.task)}

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
