"""The open MIMIC-IV slice, once, ten and a hundred times over with new ids, from csv.gz to hourly features.

Usage: series_scaling [copies ...]. Every size runs in a process of its own. Prints a line for each, and last one JSON
object: `rows_per_cpu_second` by number of copies, `memory_ratio` (peak of the largest over that of the one before) and
`peak_mb` of the largest.
"""

import gzip
import json
import os
import sys
import tempfile
from pathlib import Path

import polars as pl

from benchmarks.raw_to_features import in_own_process

TABLES = {
    "hosp": ("patients", "admissions", "labevents", "d_labitems", "microbiologyevents"),
    "icu": (
        *("icustays", "chartevents", "datetimeevents", "inputevents", "outputevents", "procedureevents"),
        "d_items",
    ),
}
IDS = ("subject_id", "hadm_id", "stay_id", "labevent_id", "microevent_id")
APART = 1_000_000_000


def main() -> None:
    data = os.environ.get("MEDCSP_TEST_DATA")
    if not data:
        sys.exit("MEDCSP_TEST_DATA is not set: it names the folder of open test data")
    sizes = [int(size) for size in sys.argv[1:]] or [1, 10, 100]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for copies in sizes:
            root = Path(folder) / f"x{copies}"
            replicate(Path(data) / "mimic-iv-demo-25pt", root, copies)
            found[copies] = in_own_process(root, "mimic_iv__chartevents")
            print(copies, found[copies], flush=True)
    speed = {str(size): round(one["rows"] / one["cpu_seconds"]) for size, one in found.items()}
    peaks = [one["peak_mb"] for one in found.values()]
    ratio = round(peaks[-1] / peaks[-2], 3) if len(peaks) > 1 else None
    print(json.dumps({"rows_per_cpu_second": speed, "memory_ratio": ratio, "peak_mb": peaks[-1]}))


def replicate(source: Path, target: Path, copies: int) -> None:
    """Write a tree that holds every subject so many times, each copy with ids of its own, copy after copy."""
    for module, names in TABLES.items():
        (target / module).mkdir(parents=True)
        for name in names:
            rows = pl.read_csv(source / module / f"{name}.csv.gz", infer_schema=False)
            with gzip.open(target / module / f"{name}.csv.gz", "wb", compresslevel=1) as file:
                for copy in range(1 if name.startswith("d_") else copies):
                    ids = [
                        (pl.col(column).cast(pl.Int64) + copy * APART).cast(pl.String)
                        for column in IDS
                        if column in rows.columns
                    ]
                    file.write(rows.with_columns(ids).write_csv(include_header=copy == 0).encode())


if __name__ == "__main__":
    main()
