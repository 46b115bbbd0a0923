"""FIDDLE's own static output on open data, made again by the production functions: names, cells, edges and aliases."""

import json

import polars as pl
import pytest

from pipelines.features.static_features import StaticSettings, encode_static, fit_static, static_columns

RUNS = {
    "mimic-iv-31-stays": "mimic-iv-31-stays",
    "mimic-iv-31-stays-theta-freq-0.5": "mimic-iv-31-stays",
    "mimic-iii-12-stays": "mimic-iii-12-stays",
}


def oracle_values(folder):
    """The static part of the oracle's long table: rows without a time."""
    rows = pl.read_csv(folder / "data.csv.gz", infer_schema=False).filter(pl.col("t").is_null())
    stay = pl.col("ID").cast(pl.Int64)
    return rows.select(
        subject_id=stay,
        hadm_id=stay,
        stay_id=stay,
        variable="variable_name",
        value="variable_value",
        value_number=pl.lit(None, dtype=pl.Float64),
    ).lazy()


@pytest.mark.parametrize("run", list(RUNS))
def test_static_features_are_those_of_fiddle(test_data, run):
    folder = test_data / "hourly-features-oracle" / run
    source = folder.parent / RUNS[run]
    values = oracle_values(source)
    stays = pl.read_csv(source / "pop.csv").select(stay_id="ID").lazy()

    features = fit_static(values, stays, StaticSettings())
    assert features["feature"].to_list() == json.loads((folder / "S.feature_names.json").read_text())

    aliases = {name: found for name, found in features.select("feature", "aliases").iter_rows() if found}
    assert aliases == json.loads((folder / "S.feature_aliases.json").read_text())

    edges = {
        f"{variable}_value": list(column.edges) or None
        for variable, column in static_columns(values, stays, StaticSettings()).items()
    }
    assert edges == json.loads((folder / "S_all.discretization.json").read_text())

    order = ["stay_id", "feature_index"]
    cells = encode_static(values, features).collect().select(*order, "value").sort(order)
    expected = pl.read_parquet(folder / "S.parquet").rename({"ID": "stay_id"})
    assert cells.equals(expected.select(*order, "value").sort(order))
