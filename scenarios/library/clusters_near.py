"""The same clusters, four of their deviations apart in place of six: some samples lie nearer to another cluster."""

from functools import partial

from scenarios.library import clusters

SCENARIO = clusters.SCENARIO.model_copy(
    update={
        "name": "clusters_near",
        "title": "Eight Gaussian clusters that overlap a little, a cubic of its own in each",
    }
)

load = partial(clusters.load, rho=4.0)
