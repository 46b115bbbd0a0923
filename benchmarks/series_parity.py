"""Hourly and static features against FIDDLE's own output and time on the open MIMIC-IV slice.

FIDDLE needed 24.6 s for these 31 stays (README of the test data). Prints a
line per run and, last, one JSON object: `cells_equal` and `ratio`, FIDDLE's seconds over our CPU seconds (median).
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

import polars as pl

from pipelines.features.series import SeriesSettings, encode_series
from pipelines.features.series_fit import fit_series
from pipelines.features.static_features import StaticSettings, encode_static, fit_static

FIDDLE_SECONDS = 24.6
NUM_RUNS = 5


def main() -> None:
    root = os.environ.get("MEDCSP_TEST_DATA")
    if not root:
        sys.exit("MEDCSP_TEST_DATA is not set: it names the folder of open test data")
    folder = Path(root) / "hourly-features-oracle" / "mimic-iv-31-stays"
    seconds = []
    for _ in range(NUM_RUNS):
        started = time.process_time()
        readings, values, stays = read(folder)
        vocabulary = fit_series(readings, stays, SeriesSettings())
        cells = encode_series(readings, vocabulary).collect()
        features = fit_static(values, stays, StaticSettings())
        static = encode_static(values, features).collect()
        seconds.append(time.process_time() - started)
        shown = f"{len(cells)} cells of {vocabulary.num_features} features, {len(static)} of {features.height} static"
        print(f"{shown} in {seconds[-1]:.3f} CPU-s")
    equal = is_equal(folder, "X", vocabulary.features, cells) and is_equal(folder, "S", features, static)
    print(json.dumps({"cells_equal": equal, "ratio": round(FIDDLE_SECONDS / statistics.median(seconds), 1)}))


def is_equal(folder: Path, name: str, features: pl.DataFrame, cells: pl.DataFrame) -> bool:
    """Return whether features and cells are those of FIDDLE's X or S."""
    order = [column for column in ("stay_id", "bin", "feature_index", "value") if column in cells.columns]
    names = json.loads((folder / f"{name}.feature_names.json").read_text())
    expected = pl.read_parquet(folder / f"{name}.parquet").rename({"ID": "stay_id"}).select(order).sort(order)
    return features["feature"].to_list() == names and cells.select(order).sort(order).equals(expected)


def read(folder: Path) -> tuple[pl.LazyFrame, pl.LazyFrame, pl.LazyFrame]:
    """Read the oracle's long table as readings and, without a time, static values, and its population as stays."""
    rows = pl.read_csv(folder / "data.csv.gz", infer_schema=False)
    stay = pl.col("ID").cast(pl.Int64)
    rows = rows.select(
        subject_id=stay,
        hadm_id=stay,
        stay_id=stay,
        variable="variable_name",
        offset_hours=pl.col("t").cast(pl.Float64),
        value="variable_value",
        value_number=pl.lit(None, dtype=pl.Float64),
    )
    has_time = pl.col("offset_hours").is_not_null()
    readings, values = rows.filter(has_time), rows.filter(~has_time)
    return readings.lazy(), values.lazy(), pl.read_csv(folder / "pop.csv").select(stay_id="ID").lazy()


if __name__ == "__main__":
    main()
