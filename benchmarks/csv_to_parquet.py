"""chartevents from csv.gz to typed, sorted, checked Parquet: our production path against pandas and against DuckDB.

pandas reads the file, sorts it where it is shuffled, and writes csv.gz again; where it is not installed pyarrow does so
with its own reader and writer, which are faster: the ratio is then too low rather than too high. DuckDB reads given
types and copies to Parquet in the order of the same columns. Usage: csv_to_parquet [rows] [runs].

Prints one JSON object: for input in subject order and for shuffled input the median ratio of user and system CPU time
(`ratio_ordered`, `ratio_shuffled`, and the same with `_vs_duckdb`), our microseconds a row, our peak memory, whether
our rows equal DuckDB's, whether both inputs gave the same bytes, and who the baseline was.
"""

import gzip
import importlib.util
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from data_contracts.tables import MimicIvChartevents
from lake import Lake, Manifest, measured
from pipelines.sources import TABLES

TABLE = TABLES[MimicIvChartevents.table]
ORDER = list(MimicIvChartevents.order)
NUM_SHARDS = 8
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


def main() -> None:
    num_rows = int(float(sys.argv[1])) if len(sys.argv) > 1 else 2_000_000
    num_runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    result: dict[str, Any] = {"rows": num_rows, "baseline": baseline_name()}
    versions = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = chartevents(num_rows)
        for kind, frame in (("ordered", rows), ("shuffled", rows.sample(fraction=1, shuffle=True, seed=1))):
            root = folder / kind
            write_tree(frame, root)
            outcome = compare(root, folder / "work", is_shuffled=kind == "shuffled", num_runs=num_runs)
            versions[kind] = outcome.pop("version")
            result |= {f"{key}_{kind}": value for key, value in outcome.items()}
            print(kind, outcome)
    result["same_bytes"] = versions["ordered"] == versions["shuffled"]
    print(json.dumps(result))


def compare(root: Path, work: Path, *, is_shuffled: bool, num_runs: int) -> dict[str, Any]:
    """Run the three ways one after the other, a number of times, and compare what they made."""
    file = root / "icu" / "chartevents.csv.gz"
    seconds: dict[str, list[float]] = {"ours": [], "baseline": [], "duckdb": []}
    for run in range(num_runs):
        folder = work / f"{root.name}-{run}"
        folder.mkdir(parents=True)
        lake = Lake(folder / "home", num_shards=NUM_SHARDS)
        with measured() as usage:
            manifest = publish(lake, root)
        seconds["ours"].append(usage.cpu_seconds)
        again = partial(rewrite, file, folder / "again.csv.gz", is_shuffled=is_shuffled)
        seconds["baseline"].append(cpu_seconds(again))
        seconds["duckdb"].append(cpu_seconds(partial(copy, file, folder / "duckdb.parquet")))
        equal = same_rows(lake, folder / "duckdb.parquet")
        (folder / "again.csv.gz").unlink()
    return {
        "ratio": median_ratio(seconds["baseline"], seconds["ours"]),
        "ratio_vs_duckdb": median_ratio(seconds["duckdb"], seconds["ours"]),
        "microseconds_per_row": round(statistics.median(seconds["ours"]) / manifest.rows * 1e6, 3),
        "peak_mb": peak_mb_alone(root, work / f"{root.name}-alone"),
        "equal": equal,
        "version": manifest.version,
    }


def peak_mb_alone(root: Path, home: Path) -> float:
    """Peak memory of a process that does nothing but publish."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peak_mb, root, home).result()


def _peak_mb(root: Path, home: Path) -> float:
    with measured() as usage:
        publish(Lake(home, num_shards=NUM_SHARDS), root)
    return usage.peak_mb


def publish(lake: Lake, root: Path) -> Manifest:
    return lake.publish(MimicIvChartevents, TABLE.read(root), code_version="", inputs={}, settings={})


def baseline_name() -> str:
    return "pandas" if importlib.util.find_spec("pandas") else "pyarrow (pandas is not installed)"


def rewrite(file: Path, target: Path, *, is_shuffled: bool) -> None:
    """Read, sort if need be, and write csv.gz, as scripts of the field do."""
    times = ["charttime", "storetime"]
    if importlib.util.find_spec("pandas"):
        import pandas as pd

        frame = pd.read_csv(file, parse_dates=times)
        frame = frame.sort_values(ORDER) if is_shuffled else frame
        frame.to_csv(target, index=False, compression="gzip")
        return
    import pyarrow as pa
    from pyarrow import csv

    options = csv.ConvertOptions(column_types=dict.fromkeys(times, pa.timestamp("s")))
    with gzip.open(file) as source:
        table = csv.read_csv(source, convert_options=options)
    table = table.sort_by([(name, "ascending") for name in ORDER]) if is_shuffled else table
    with gzip.open(target, "wb") as sink:  # level 9, as pandas has it
        csv.write_csv(table, sink)


def copy(file: Path, target: Path) -> None:
    """Read with given types and copy to Parquet, sorted."""
    types = {pl.Int64: "bigint", pl.String: "varchar", pl.Float64: "double"}
    wanted = pl.Schema(MimicIvChartevents)
    with gzip.open(file, "rt") as source:
        header = source.readline().strip().split(",")
    columns = {name: types.get(type(wanted[name]), "timestamp") if name in wanted else "varchar" for name in header}
    with duckdb.connect(config={"temp_directory": str(target.parent / "spill")}) as sql:
        sql.execute(
            f"copy (select {', '.join(wanted)} from read_csv('{file}', header = true, columns = {columns}) "
            f"order by {', '.join(ORDER)}) to '{target}' (format parquet, compression zstd)"
        )


def same_rows(lake: Lake, file: Path) -> bool:
    """Whether both hold the same rows, duplicates counted."""
    ours = lake.scan(MimicIvChartevents.table).collect()
    theirs = pl.read_parquet(file).cast(dict(ours.schema))
    return ours.sort(ours.columns).equals(theirs.sort(ours.columns))


def cpu_seconds(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def median_ratio(theirs: list[float], ours: list[float]) -> float:
    return round(statistics.median(left / right for left, right in zip(theirs, ours, strict=True)), 2)


def chartevents(num_rows: int) -> pl.DataFrame:
    """Rows in the order of the table: stays of 4,600 readings, two thirds of them numbers."""
    rng = np.random.default_rng(0)
    num_stays = max(1, num_rows // 4600)
    stay = np.sort(rng.integers(0, num_stays, num_rows))
    subject = 10_000_000 + np.cumsum(rng.integers(1, 300, num_stays))
    hadm, stay_id = (base + rng.permutation(num_stays * 3)[:num_stays] for base in (20_000_000, 30_000_000))
    admitted = rng.integers(4_000_000_000, 6_000_000_000, num_stays)
    minutes = rng.integers(0, 200, num_rows) * 30
    minutes = minutes[np.lexsort((minutes, stay))]
    items = rng.choice(np.arange(220_000, 230_000), 400, replace=False)[np.arange(num_rows) * 7 % 400]
    number = np.round(rng.gamma(3, 30, num_rows), 1)
    words = np.array(["Normal", "SR (Sinus Rhythm)", "Yes", "No", "Alert", "Spontaneously, opens eyes"])
    seconds = admitted[stay] + minutes * 60
    is_text = pl.Series(rng.random(num_rows) < 0.3)
    frame = pl.DataFrame(
        {
            "subject_id": subject[stay],
            "hadm_id": hadm[stay],
            "stay_id": stay_id[stay],
            "caregiver_id": rng.integers(1, 99_999, num_rows),
            "charttime": pl.from_epoch(pl.Series(seconds)),
            "storetime": pl.from_epoch(pl.Series(seconds + 60 * rng.integers(1, 90, num_rows))),
            "itemid": items,
            "value": pl.Series(words[rng.integers(0, len(words), num_rows)]),
            "valuenum": number,
            "valueuom": pl.Series(np.array(["bpm", "mmHg", "insp/min", "%", "°F", "mL", ""])[items % 7]),
            "warning": np.zeros(num_rows, dtype=np.int64),
        }
    ).with_columns(
        value=pl.when(is_text).then("value").otherwise(pl.col("valuenum").cast(pl.String)),
        valuenum=pl.when(~is_text).then("valuenum"),
        valueuom=pl.when(~is_text & (pl.col("valueuom") != "")).then("valueuom"),
    )
    return frame.sort(ORDER)


def write_tree(rows: pl.DataFrame, root: Path) -> None:
    """Write the one file of a release that is read here."""
    (root / "icu").mkdir(parents=True)
    with gzip.open(root / "icu" / "chartevents.csv.gz", "wb", compresslevel=6) as file:
        for number, part in enumerate(rows.iter_slices(200_000)):
            text = part.write_csv(include_header=number == 0, datetime_format=TIME_FORMAT)
            file.write(text.encode())


if __name__ == "__main__":
    main()
