"""The data manifold as pieces: encoder, charts of regions, the atlas that holds them."""

from federation.manifold.atlas import Atlas
from federation.manifold.chart import Chart, ChartRule
from federation.manifold.encoder import Encoder, EncoderRule, PrincipalComponents
from federation.manifold.features import (
    Concatenated,
    FeatureMap,
    Flat,
    GaborEnergies,
    OrientedGradients,
    PooledPixels,
    PriorTrunk,
    RandomFeatures,
    RandomProjections,
    SignalStatistics,
)
from federation.manifold.fourier import FourierFeatures
from federation.manifold.regions import PrivateRegions, RegionRule, SharedRegions
from federation.manifold.shortlists import Shortlists
from federation.manifold.survey import NEVER, Survey

__all__ = [
    "NEVER",
    "Atlas",
    "Chart",
    "ChartRule",
    "Concatenated",
    "Encoder",
    "EncoderRule",
    "FeatureMap",
    "Flat",
    "FourierFeatures",
    "GaborEnergies",
    "OrientedGradients",
    "PooledPixels",
    "PrincipalComponents",
    "PriorTrunk",
    "PrivateRegions",
    "RandomFeatures",
    "RandomProjections",
    "RegionRule",
    "SharedRegions",
    "Shortlists",
    "SignalStatistics",
    "Survey",
]
