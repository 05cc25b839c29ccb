"""The parts that answer together, chosen by their loss on held-out samples."""

from dataclasses import replace

from federation.models import Size
from federation.tensors import Parameters, prefixed
from federation.wire.contribution import Contribution
from federation.world.composition import chosen
from server.bounds import MOST_NATS, Answer, at_most, counts, votes
from server.phases.contract import Kind, Now, Told
from server.phases.evidence import FromEvidence
from server.state import ServerState


class Composition(FromEvidence):
    """Sends gate and head, and chooses the composition that loses least."""

    def told(self, now: Now, kind: Kind) -> Told:
        return small_networks(now)

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        tried = len(now.scenario.compositions(now.task))
        correct = counts(tried) if now.task.classifies else votes(tried)
        return {"loss": votes(tried), "correct": correct, "count": counts()}

    def check(self, now: Now, who: str, sums: Parameters, answer: Answer) -> None:
        super().check(now, who, sums, answer)
        if now.task.classifies:
            at_most(who, sums, "correct", "count")
            at_most(who, sums, "loss", "count", MOST_NATS)

    def advance(self, now: Now, total: Contribution) -> ServerState:
        options, sums, gain = now.scenario.compositions(now.task), total.everywhere(), now.scenario.composition.gain
        alone = [place for place, option in enumerate(options) if not option.get("mixture")]
        others = {"loss": sums["loss"][alone], "count": sums["count"]}
        without = chosen([options[place] for place in alone], others, gain) if alone else {}
        return replace(now.state, composition=chosen(options, sums, gain), without_experts=without)

    def held_out(self, now: Now, total: Contribution) -> float | None:
        sums = total.everywhere()
        if not float(sums.get("count", 0)):
            return None
        return float(sums["correct"][now.scenario.compositions(now.task).index(now.state.composition)] / sums["count"])


def small_networks(now: Now) -> Told:
    """What clients need to answer their held-out samples from what they remember."""
    state = now.state
    tensors = prefixed("router", state.router) | prefixed("head", state.head) | state.labels
    return Told(tensors, state.composition)


SIDE = Composition()
