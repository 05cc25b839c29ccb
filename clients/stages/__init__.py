"""What a client does in each stage of a run, one stage a file; all answers are sums."""

from clients.stages import (
    census,
    charting,
    choice,
    composition,
    coupling,
    encoding,
    evidence,
    growth,
    head,
    least_squares,
    novelty,
    reach,
    readout,
    router,
    selection,
    spawn,
    training,
)
from clients.stages.contract import StageFunction
from federation.records import Stage

STAGES: dict[Stage, StageFunction] = {
    Stage.CENSUS: census.contribute,
    Stage.PRIOR: training.contribute,
    Stage.ENCODER: encoding.contribute,
    Stage.CHARTING: charting.contribute,
    Stage.CHOICE: choice.contribute,
    Stage.EXPERTS: training.contribute,
    Stage.COUPLING: coupling.contribute,
    Stage.READOUT: readout.contribute,
    Stage.SELECTION: selection.contribute,
    Stage.REACH: reach.contribute,
    Stage.EVIDENCE: evidence.contribute,
    Stage.LEAST_SQUARES: least_squares.contribute,
    Stage.HEAD: head.contribute,
    Stage.ROUTER: router.contribute,
    Stage.COMPOSITION: composition.contribute,
    Stage.NOVELTY: novelty.contribute,
    Stage.SPAWN: spawn.contribute,
    Stage.GROWTH: growth.contribute,
}

__all__ = ["STAGES"]
