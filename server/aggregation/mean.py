"""The nested coverage-weighted mean: FedAvg, for models of many sizes."""

from torch import Tensor

from federation.tensors import Parameters
from federation.wire.contribution import AggregationRule, coverage_mean


class Mean(AggregationRule):
    """The mean over clients, weighted by samples. Source: McMahan et al. (2017); Diao et al. (2021)."""

    def init(self, parameters: Parameters) -> dict[str, Tensor]:
        return {}

    def apply(
        self, state: Parameters, parameters: Parameters, sums: Parameters
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return coverage_mean(sums, parameters), {}
