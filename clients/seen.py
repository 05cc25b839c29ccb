"""Samples as a region's expert sees them: in the coordinates of its chart."""

from federation.data.samples import Samples
from federation.learning.experts import Expert


def seen_by(expert: Expert, samples: Samples) -> Samples:
    """Those of the expert's own classes, as its models are trained on them: inputs in its coordinates, and of values
    what its tangent leaves."""
    own, seen = samples.among(expert.classes), expert.coordinates
    if seen is None:
        return own
    values = own.targets.is_floating_point()
    return Samples(seen.inputs(own.inputs), seen.residuals(own.inputs, own.targets) if values else own.targets)
