"""A table of 1,000,000 rows and 50 columns: seconds until training can start, and memory of all processes meanwhile.

python -m benchmarks.own_data [ROWS [OPTION ...]]
"""

import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS, GROUP = 50, 100_000


def write(path: Path, rows: int) -> None:
    """Random columns, of which a label of two classes follows."""
    draw = np.random.Generator(np.random.PCG64(0))
    schema = pa.schema([(f"c{n}", pa.float64()) for n in range(COLUMNS)] + [("y", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, GROUP):
            x = draw.normal(size=(min(GROUP, rows - start), COLUMNS))
            y = np.where(x[:, 0] + x[:, 1] > 0, "yes", "no")
            writer.write_table(pa.table([*x.T, y], schema=schema))


def resident(process: psutil.Process) -> int:
    """Bytes of a process and of all that it has started, pages that they share counted once."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):
            total += each.memory_full_info().pss
    return total


def main() -> None:
    """Write the table, begin to train on it, and stop once the first round of training is done."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "mine.parquet", Path(folder) / "run"
        write(file, rows)
        command = [sys.executable, "-m", "scenarios.commands.cli", "simulate", "--data", str(file), "--label", "y"]
        begun, peak, loaded = time.monotonic(), 0, 0.0
        with subprocess.Popen([*command, "--out", str(out), "--quiet", *sys.argv[2:]]) as run:
            process = psutil.Process(run.pid)
            while run.poll() is None and not list(out.glob("checkpoints/*")):
                loaded = loaded or (time.monotonic() - begun if out.exists() else 0.0)
                peak = max(peak, resident(process))
                time.sleep(0.2)
            first = time.monotonic() - begun
            run.terminate()
        print(f"{rows:,} rows x {COLUMNS}: data ready {loaded:.1f} s, first round done {first:.1f} s")
        print(f"resident memory of all processes until then {peak / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
