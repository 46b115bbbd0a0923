import polars as pl
import pytest

from pipelines.features.concepts import RULES, SYSTEMS, read_concepts


def written(tmp_path, *rows):
    path = tmp_path / "concepts.csv"
    pl.DataFrame(rows).write_csv(path)
    return path


def row(**changes):
    return {
        "concept": "heart_rate",
        "system": "carevue",
        "variable": "chart_211",
        "unit": "bpm",
        "low": 10,
        "high": 300,
        "rule": None,
        "evidence": "label",
        **changes,
    }


def test_every_concept_of_the_mapping_is_charted_by_mimic_iv_and_most_by_all_systems():
    concepts = read_concepts()
    systems = concepts.group_by("concept").agg(pl.col("system").unique().sort())
    assert systems.height == 185
    assert all("mimic_iv" in found for found in systems["system"])
    assert systems.filter(pl.col("system").list.len() == len(SYSTEMS)).height == systems.height
    assert set(concepts["rule"]) == set(RULES)
    assert concepts["evidence"].str.len_chars().min() > 10


def test_laboratory_ids_are_shared_and_charted_ids_are_not():
    labs = pl.col("variable").str.starts_with("lab_") | pl.col("variable").str.starts_with("micro_")
    concepts = read_concepts()
    assert set(concepts.filter(labs).group_by("variable").len()["len"]) == {len(SYSTEMS)}
    itemid = pl.col("variable").str.split("_").list.last().cast(pl.Int64)
    charted = concepts.filter(~labs)
    assert (charted.filter(pl.col("system") == "carevue").select(itemid).to_series() < 220_000).all()
    assert (charted.filter(pl.col("system") != "carevue").select(itemid).to_series() >= 220_000).all()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rule": "kelvin"}, "column rule has .'kelvin'"),
        ({"system": "epic"}, "column system has .'epic'"),
        ({"low": 400}, "low is above high"),
        ({"variable": "chart_212", "unit": "1/s"}, "differ in .'unit'"),
        ({"system": "metavision", "rule": "given"}, "differ in .'rule'"),
        ({}, "repeats"),
    ],
)
def test_rows_that_contradict_are_refused(tmp_path, changes, told):
    rows = [row(**changes)] if changes.keys() & {"low"} else [row(), row(**changes)]
    with pytest.raises(ValueError, match=told):
        read_concepts(written(tmp_path, *rows))
