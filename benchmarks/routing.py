"""What routing a query among thousands of regions takes, and how often the few that are asked are the right ones.

python -m benchmarks.routing
"""

import argparse
import json
import statistics
import time
from types import SimpleNamespace

import torch
from torch import Tensor

from federation.manifold import Atlas, Chart, ChartRule
from federation.manifold.chart import Moments
from federation.randomness import torch_generator
from federation.routing import ChartPosterior, Gates, PrototypeRetrieval, RoutingRule

TOP, BATCHES = 4, (1, 32, 1000)
SHEET, SPREAD, WIDTH, NOISE = 50, 0.6, 0.25, 0.02
"""Charts on one curved sheet; how far they lie apart on it, how far each reaches along it, variance away from it."""
RULES = {
    "all regions": ChartPosterior(top=TOP),
    "prototype_retrieval": PrototypeRetrieval(top=TOP),
}


def main() -> None:
    """Run, and print a row a rule: processor microseconds a query, and agreement with all regions."""
    asked = _arguments()
    torch.set_num_threads(1)
    if not asked.json:
        columns = [f"batch {batch:<5}" for batch in BATCHES] + ["gate", "first", f"top {TOP}", "same"]
        print(" " * 42 + "".join(f"{name:>12}" for name in columns))
    for latent in asked.latent:
        for regions in asked.regions:
            atlas, queries = manifold(regions, latent, asked.queries)
            exact = route(RULES["all regions"], atlas, queries)
            for name, rule in RULES.items():
                found = route(rule, atlas, queries)  # its shortlists are drawn up here, and not when time counts
                micros = {f"us_{batch}": round(1e6 * seconds(rule, atlas, queries, batch), 1) for batch in BATCHES}
                shares = agreement(exact, found)
                if asked.json:
                    print(json.dumps({"rule": name, "latent": latent, "regions": regions, **micros, **shares}))
                else:
                    cells = [f"{us:12.1f}" for us in micros.values()] + [f"{s:12.4f}" for s in shares.values()]
                    print(f"{name:20} latent {latent:3} {regions:6} regions" + "".join(cells), flush=True)


def manifold(regions: int, latent: int, queries: int, rank: int = 8) -> tuple[Atlas, Tensor]:
    """Charts along curved sheets of eight dimensions, fitted as the server fits them, and samples of the charts."""
    draw = torch_generator(0, "benchmark of routing", regions, latent)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    sheets = max(1, regions // SHEET)
    size = torch.multinomial(normal(sheets).mul(0.8).exp(), regions, replacement=True, generator=draw)
    basis, bend = torch.linalg.qr(normal(sheets, latent, rank))[0][size], 0.3 * normal(sheets, latent, rank)[size]
    place = SPREAD * normal(regions, rank)
    mean = normal(sheets, latent)[size] + torch.einsum("cls,cs->cl", basis, place)
    mean = mean + torch.einsum("cls,cs->cl", bend, place.square())
    along = (basis + 2 * bend * place.unsqueeze(1)) * WIDTH * (0.3 * normal(regions, 1, rank)).exp()
    noise = NOISE * (0.3 * normal(regions, latent)).exp()
    count = 50 + 400 * torch.rand(regions, generator=draw, dtype=torch.float64)
    second = torch.diag_embed(noise) + along @ along.transpose(1, 2) + torch.einsum("ca,cb->cab", mean, mean)
    charts = [Chart({0: Moments(float(n), n * m, n * s)}) for n, m, s in zip(count, mean, second, strict=True)]
    own = torch.multinomial(count, queries, replacement=True, generator=draw)
    rows = mean[own] + normal(queries, latent) * noise[own].sqrt()
    rows = rows + torch.einsum("qlr,qr->ql", along[own], normal(queries, rank))
    return Atlas.of(charts, ChartRule(rank=rank)), rows.float()


def route(rule: RoutingRule, atlas: Atlas, latent: Tensor) -> Gates:
    """The experts of encoded queries, a thousand at a time."""
    parts = [rule.gates({}, rows, rule.survey(atlas, rows)) for rows in torch.split(latent, max(BATCHES))]
    return Gates(*(torch.cat([getattr(part, name) for part in parts]) for name in ("regions", "weights")))


def agreement(exact: Gates, found: Gates) -> dict[str, float]:
    """Shares: of the gates that are the same, of queries with the same first expert, of the top experts that are found,
    and of queries with the same top experts."""
    same = exact.regions.unsqueeze(2) == found.regions.unsqueeze(1)
    common = torch.minimum(exact.weights.unsqueeze(2), found.weights.unsqueeze(1))
    shares = {
        "gate": (common * same).sum((1, 2)),
        "first": exact.regions[:, 0] == found.regions[:, 0],
        "top": same.any(2),
        "same": same.any(2).all(1),
    }
    return {name: round(float(share.double().mean()), 4) for name, share in shares.items()}


def seconds(rule: RoutingRule, atlas: Atlas, queries: Tensor, batch: int) -> float:
    """Processor seconds a query in batches of this size: the median of at least five, for half a second."""
    spent: list[float] = []
    while len(spent) < 5 or sum(spent) < 0.5:
        rows = torch.roll(queries, -batch * len(spent), 0)[:batch]
        began = time.process_time()
        route(rule, atlas, rows)
        spent.append(time.process_time() - began)
    return statistics.median(spent) / batch


def _arguments() -> SimpleNamespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description=__doc__.splitlines()[0])
    parser.add_argument("--regions", type=int, nargs="+", default=[100, 10_000])
    parser.add_argument("--latent", type=int, nargs="+", default=[16, 32, 64], help="dimensions of encoder space")
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--json", action="store_true", help="lines of JSON")
    return SimpleNamespace(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
