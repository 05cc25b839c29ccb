"""What a client does in each stage of a run, one stage a file; all answers are sums."""

from clients.stages import charting, composition, coupling, encoder, evidence, head, novelty, router, training
from clients.stages.contract import StageFunction
from federation.records import Stage

STAGES: dict[Stage, StageFunction] = {
    Stage.ENCODER: encoder.contribute,
    Stage.PRIOR: training.contribute,
    Stage.CHARTING: charting.contribute,
    Stage.EXPERTS: training.contribute,
    Stage.COUPLING: coupling.contribute,
    Stage.HEAD: head.contribute,
    Stage.EVIDENCE: evidence.contribute,
    Stage.ROUTER: router.contribute,
    Stage.COMPOSITION: composition.contribute,
    Stage.NOVELTY: novelty.contribute,
}

__all__ = ["STAGES"]
