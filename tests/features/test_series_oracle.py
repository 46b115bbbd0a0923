"""FIDDLE's own output on open data, made again by the production functions: names, cells, edges and aliases."""

import json

import polars as pl
import pytest

from pipelines.features.series import SeriesSettings, encode_series
from pipelines.features.series_fit import fit_series, fitted_columns

RUNS = {
    "mimic-iv-31-stays": ("mimic-iv-31-stays", SeriesSettings()),
    "mimic-iv-31-stays-theta-freq-0.5": ("mimic-iv-31-stays", SeriesSettings(theta_freq=0.5)),
    "mimic-iii-12-stays": ("mimic-iii-12-stays", SeriesSettings()),
}


def oracle_readings(folder):
    """The oracle's long table as readings; its rows without a time are static and stay out."""
    rows = pl.read_csv(folder / "data.csv.gz", infer_schema=False).filter(pl.col("t").is_not_null())
    stay = pl.col("ID").cast(pl.Int64)
    return rows.select(
        subject_id=stay,
        hadm_id=stay,
        stay_id=stay,
        variable="variable_name",
        offset_hours=pl.col("t").cast(pl.Float64),
        value="variable_value",
        value_number=pl.lit(None, dtype=pl.Float64),
    ).lazy()


@pytest.mark.parametrize("run", list(RUNS))
def test_features_are_those_of_fiddle(test_data, run):
    folder = test_data / "hourly-features-oracle" / run
    source, settings = RUNS[run]
    readings = oracle_readings(folder.parent / source)
    stays = pl.read_csv(folder.parent / source / "pop.csv").select(stay_id="ID").lazy()

    vocabulary = fit_series(readings, stays, settings)
    names = json.loads((folder / "X.feature_names.json").read_text())
    assert vocabulary.features["feature"].to_list() == names

    aliases = {name: found for name, found in vocabulary.features.select("feature", "aliases").iter_rows() if found}
    assert aliases == json.loads((folder / "X.feature_aliases.json").read_text())

    edges = {
        f"{variable}_{statistic}": list(column.edges) or None
        for (variable, statistic), column in fitted_columns(readings, stays, settings).items()
        if statistic != "mask"
    }
    assert edges == json.loads((folder / "X_all.discretization.json").read_text())

    cells = encode_series(readings, vocabulary).collect()
    expected = pl.read_parquet(folder / "X.parquet").rename({"ID": "stay_id"})
    order = ["stay_id", "bin", "feature_index"]
    assert cells.select(*order, "value").sort(order).equals(expected.select(*order, "value").sort(order))
