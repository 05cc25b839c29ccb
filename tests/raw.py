"""A user's own table, for tests: numbers of very different sizes, text, dates, true and false, and missing values."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def frame(rows: int = 240) -> pd.DataFrame:
    """Columns to learn from, with `bought` (yes or no), the amounts `euro` and `kilo`, and the client `shop`."""
    draw = np.random.Generator(np.random.PCG64(0))
    age = draw.integers(18, 90, rows).astype(float)
    age[::9] = np.nan
    city = draw.choice(["Bern", "Köln", "Oslo"], rows).astype(object)
    city[::11] = None
    price, member = draw.normal(1e6, 1e3, rows), draw.random(rows) > 0.5
    side = (price - 1e6) / 1e3 + 2 * (city == "Bern") + member
    return pd.DataFrame(
        {
            "age": age,
            "city": city,
            "price": price,
            "member": member,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 1000, rows), unit="D"),
            "shop": draw.choice(["a", "b", "c"], rows),
            "bought": np.where(side > 1, "yes", "no"),
            "euro": 5000 + 300 * side,
            "kilo": 1e-6 * side,
        }
    )


def written(table: pd.DataFrame, path: Path) -> Path:
    """The table in a file, or folder, of the kind that the ending says."""
    kinds: dict[str, Any] = {
        ".csv": lambda: table.to_csv(path, index=False),
        ".tsv": lambda: table.to_csv(path, index=False, sep="\t"),
        ".jsonl": lambda: table.to_json(path, orient="records", lines=True, date_format="iso", date_unit="s"),
        ".parquet": lambda: table.to_parquet(path),
        ".feather": lambda: table.to_feather(path),
    }
    kinds[path.suffix]()
    return path
