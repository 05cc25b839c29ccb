"""Raw rows of three shops, for tests of deployments: missing values, categories, names of classes."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.raw import written

SHOPS = ["a", "b", "c"]
ROUNDS = {
    "phases": '["census","prior","encoder","charting","experts"]',
    "prior.rounds": 1,
    "experts.rounds": 1,
    "local.epochs": 1,
    "charts.min_count": 10,
}
"""The shortest run that makes a world model."""


def shops(rows: int = 360) -> pd.DataFrame:
    """Three numbers, one of them a time stamp, and five categories, a tenth of the cells missing; what is `bought`."""
    draw = np.random.Generator(np.random.PCG64(0))
    table = pd.DataFrame({f"c{n}": draw.choice(["red", "green", "blue"], rows).astype(object) for n in range(5)})
    table["price"], table["size"] = draw.normal(1e6, 1e3, rows), draw.normal(0, 1e-3, rows)
    table["seconds"] = 1.7e9 + np.arange(float(rows))
    side = (table["price"] - 1e6) / 1e3 + table["size"] / 1e-3 + (table["c0"] == "red")
    table = table.mask(draw.random(table.shape) < 0.1)
    shop = draw.choice(SHOPS, rows)
    table.loc[shop == "b", "c1"] = table.loc[shop == "b", "c1"].replace("blue", "red")  # shop b has never seen blue
    return table.assign(shop=shop, bought=np.select([side > 1, side > 0], ["yes", "maybe"], "no"))


def shared_out(table: pd.DataFrame, folder: Path, test: Path) -> None:
    """Each shop's own file in the folder of its site, and the server's test set."""
    for number, shop in enumerate(SHOPS):
        written(table[table["shop"] == shop].drop(columns="shop"), folder / f"site-{number}" / "client.csv")
    written(pd.read_csv(test), folder / "server" / "test.csv")
