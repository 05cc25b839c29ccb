"""The design of a world model: what it consists of, and all that it knows beside its tensors."""

from pydantic import Field

from federation.data.preparation import Preparation
from federation.learning.head import Head
from federation.manifold import EncoderRule
from federation.manifold.features import FeatureMap
from federation.models import ElasticFamily, Size
from federation.models.family import FULL
from federation.routing import RoutingRule
from federation.rules import Frozen, Several
from federation.tasks import Task
from federation.world.confidence import Calibration
from federation.world.context import Context

VERSION = 4

NOTHING_NOVEL = 1e30
"""The threshold of a world model that never asks its generalist: finite, so that JSON can hold it."""


class Design(Frozen):
    """All of a world model that is not a tensor.

    `size` is that of its models, of those of the family; `sizes` that of each expert, where they differ. `readout` are
    the features of experts that are readouts. `labels` is the share of each class in the federation, `uncharted` are
    those of which there are samples but no charts. `calibration` makes answers without context as sure as they are
    right; `ridge` is the penalty in the least squares of the head, if there were any. `preparation` is what a saved
    model does to raw rows before anything else, and undoes in the values that it answers.
    """

    version: int = VERSION
    task: Task
    family: ElasticFamily
    size: Size = FULL
    sizes: Several[Size] = ()
    prior_size: Size = FULL
    encoder: EncoderRule
    router: RoutingRule
    head: Head
    readout: FeatureMap | None = None
    ridge: float | None = None
    chart_temperature: float
    whole_regions: bool = False
    regions: int
    region_of_client: Several[int] = ()
    composition: dict[str, float] = Field(default_factory=dict)
    without_experts: dict[str, float] = Field(default_factory=dict)
    novelty_threshold: float = NOTHING_NOVEL
    labels: Several[float] = ()
    uncharted: Several[int] = ()
    calibration: Calibration = Calibration()
    context: Context = Context()
    preparation: Preparation = Preparation()

    def size_of(self, region: int) -> Size:
        """The size of one region's expert."""
        return self.sizes[region] if self.sizes else self.size

    @property
    def size_of_prior(self) -> Size:
        """The size of the generalist: its own, where the encoder asks it."""
        return self.prior_size if self.encoder.uses_prior else self.prior_size.least(self.size)
