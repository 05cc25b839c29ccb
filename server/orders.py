"""What a round asks of its clients."""

import json

from federation.phases import named
from federation.tensors import prefixed
from federation.wire.records import AGAIN, COUNTED, Order
from server.phases import side
from server.phases.contract import Kind, Now, Told


def order(now: Now, kind: Kind) -> Order:
    """What this round asks of the clients of one kind; it tells them again what they have lost."""
    state, step, told = now.state, now.step, _told(now, kind)
    settings: dict[str, float] = {"region": kind.region, "width": kind.size.width, "depth": kind.size.depth}
    if state.atlas is not None:
        settings["regions"] = len(state.experts)
    if state.encoder is not None:
        settings["encoder"] = now.scenario.encoders.index(state.encoder.rule)
    if kind.counted is not None:
        settings[COUNTED] = kind.counted
    settings |= told.settings
    tensors = dict(told.tensors)
    for earlier in kind.again:
        repeated = side(named(earlier)).again(now, kind)
        tensors |= prefixed(f"{AGAIN}/{earlier}", repeated.tensors)
        settings |= {f"{AGAIN}/{earlier}/{name}": value for name, value in repeated.settings.items()}
    sites = now.scenario.data.sites
    found = json.dumps({"data.sites": sites.dump()}) if sites is not None and sites.meaning is not None else ""
    return Order(step.phase.name, step.round, step.progress, now.scenario.seed, settings, tensors, found, kind.regions)


def _told(now: Now, kind: Kind) -> Told:
    """What a phase tells clients of a kind; of several regions, that of each as `region/name`."""
    told = side(now.step.phase).told
    if not kind.regions:
        return told(now, kind)
    of = {region: told(now, kind._replace(region=region)) for region in kind.regions}
    tensors = {f"{region}/{name}": t for region, own in of.items() for name, t in own.tensors.items()}
    return Told(tensors, next(iter(of.values())).settings)
