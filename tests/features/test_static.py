"""Static features: which values there are, and what a fit on training stays makes of them and of other stays."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.static import EhrStatic, StaticFeatures
from pipelines.features.static_features import StaticSettings, encode_static, fit_static, static_values

STAYS = pl.LazyFrame(
    {
        "subject_id": [1, 1, 2],
        "hadm_id": [10, 10, 20],
        "stay_id": [100, 101, 200],
        "in_time": [datetime(2150, 1, 1, 6), datetime(2150, 1, 3), datetime(2160, 5, 1, 12, 30)],
    }
)
RECORDS = pl.LazyFrame({"hadm_id": [10, 20], "admit_time": [datetime(2150, 1, 1), datetime(2160, 5, 1, 12)]})
DEMOGRAPHICS = pl.LazyFrame(
    {
        "hadm_id": [10, 20],
        "age_years": [64.0, None],
        "gender": ["F", "M"],
        "race_group": ["white", "unknown"],
        "insurance_group": ["medicare", "other"],
        "admission_group": ["emergency", "elective"],
        "care_unit_group": ["medical", "unknown"],
    }
)


def numbers(**of_stay):
    """Values of one numeric variable by stay."""
    stays = [int(name.removeprefix("stay_")) for name in of_stay]
    return pl.LazyFrame(
        {
            "subject_id": stays,
            "hadm_id": stays,
            "stay_id": stays,
            "variable": "age_years",
            "value": pl.Series([None] * len(stays), dtype=pl.String),
            "value_number": list(of_stay.values()),
        }
    )


def test_values_are_what_a_stay_begins_with():
    values = static_values(STAYS, RECORDS, DEMOGRAPHICS).collect()
    found = {
        stay: {variable: number if text is None else text for variable, text, number in rows}
        for stay in (100, 101, 200)
        for rows in [values.filter(stay_id=stay).select("variable", "value", "value_number").iter_rows()]
    }
    person = {
        "age_years": 64.0, "gender": "F", "race_group": "white", "insurance_group": "medicare",
        "admission_group": "emergency", "care_unit_group": "medical",
    }  # fmt: skip
    assert found == {
        100: {**person, "hours_before_icu": 6.0},
        101: {**person, "hours_before_icu": 48.0},
        200: {"gender": "M", "insurance_group": "other", "admission_group": "elective", "hours_before_icu": 0.5},
    }
    assert values.height == sum(map(len, found.values()))


def test_what_comes_after_the_stay_begins_changes_nothing():
    end = pl.lit(datetime(2170, 1, 1))
    late = STAYS.with_columns(out_time=end, los_hours=pl.lit(99.0))
    closed = RECORDS.with_columns(discharge_time=end, num_stays=pl.lit(9), record_time=end)
    shown = static_values(late, closed, DEMOGRAPHICS).collect()
    assert shown.equals(static_values(STAYS, RECORDS, DEMOGRAPHICS).collect())


def test_edges_are_those_of_training_stays_and_others_are_encoded_with_them():
    values = numbers(stay_1=20.0, stay_2=30.0, stay_3=40.0, stay_4=50.0, stay_5=60.0, stay_6=70.0, stay_7=95.0)
    features = fit_static(values, pl.LazyFrame({"stay_id": range(1, 7)}), StaticSettings())
    assert features.select("low", "high").rows() == [(low, low + 10.0) for low in (20.0, 30.0, 40.0, 50.0, 60.0)]
    assert features["meaning"][0] == "age at admission in years: from 20.0 to 30.0"
    assert features["meaning"][1] == "age at admission in years: above 30.0 to 40.0"
    cells = encode_static(values, features).collect()
    assert dict(cells.select("stay_id", "feature_index").rows()) == {1: 0, 2: 0, 3: 1, 4: 2, 5: 3, 6: 4}
    assert list(cells.columns) == list(EhrStatic.columns())
    assert list(features.columns) == list(StaticFeatures.columns())


def texts(variable, of_stay):
    """Values of one categorical variable by stay."""
    stays = list(of_stay)
    return pl.LazyFrame(
        {
            "subject_id": stays,
            "hadm_id": stays,
            "stay_id": stays,
            "variable": variable,
            "value": list(of_stay.values()),
            "value_number": pl.Series([None] * len(stays), dtype=pl.Float64),
        }
    )


EIGHT = pl.LazyFrame({"stay_id": range(1, 9)})


@pytest.mark.parametrize(("theta_1", "kept"), [(0.24, ["gender_value_F", "gender_value_M"]), (0.25, [])])
def test_variables_that_few_stays_have_are_dropped(theta_1, kept):
    values = texts("gender", {1: "F", 2: "M"})
    assert fit_static(values, EIGHT, StaticSettings(theta_1=theta_1))["feature"].to_list() == kept


@pytest.mark.parametrize(
    ("theta_2", "kept"), [(0.24, [("race_group_value_black", ["~{race_group_value_white}"])]), (0.25, [])]
)
def test_nearly_constant_and_complementary_features_are_dropped(theta_2, kept):
    values = texts("race_group", {stay: "white" if stay <= 2 else "black" for stay in range(1, 9)})
    features = fit_static(values, EIGHT, StaticSettings(theta_2=theta_2))
    assert features.select("feature", "aliases").rows() == kept


def test_a_category_that_was_not_fitted_has_no_cell():
    features = fit_static(texts("gender", {1: "F", 2: "M"}), EIGHT, StaticSettings())
    assert encode_static(texts("gender", {9: "X"}), features).collect().is_empty()


def test_there_must_be_a_stay_to_fit_on():
    with pytest.raises(ValueError, match="no stay to fit"):
        fit_static(numbers(stay_1=20.0), EIGHT.head(0), StaticSettings())


def dense_fiddle(table, theta_1, theta_2):
    """FIDDLE's published rules on a dense table (variable -> one value or None per stay): name -> column, aliases."""
    columns = {}
    for variable in sorted(table):
        values = table[variable]
        known = [value for value in values if value is not None]
        if len(known) / len(values) <= theta_1:
            continue
        if isinstance(known[0], float) and len(set(known)) > 2:
            edges = np.unique(np.percentile(known, [0, 20, 40, 60, 80, 100]))
            places = [None if value is None else max(int(np.searchsorted(edges, value)), 1) for value in values]
        else:
            places = [value if value is None or isinstance(value, str) else f"{value:g}" for value in values]
        for place in sorted({place for place in places if place is not None}):
            columns[variable, place] = np.array([own == place for own in places], dtype=float)
    kept = {name: column for name, column in columns.items() if column.var() > theta_2 * (1 - theta_2) + 1e-12}
    first, aliases = {}, {}
    for name, column in kept.items():
        for other, earlier in first.items():
            correlation = np.corrcoef(column, earlier)[0, 1]
            if np.isclose(abs(correlation), 1):
                aliases.setdefault(other, []).append((name, correlation > 0))
                break
        else:
            first[name] = column
    return first, aliases


@settings(max_examples=30, deadline=None)
@given(
    numbers=st.lists(st.one_of(st.none(), st.integers(-2, 9).map(float)), min_size=9, max_size=9),
    ages=st.lists(st.one_of(st.none(), st.integers(20, 23).map(float)), min_size=9, max_size=9),
    words=st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=9, max_size=9),
    theta_1=st.sampled_from([0.0, 0.3, 1 / 9]),
    theta_2=st.sampled_from([0.0, 1 / 9, 0.2]),
)
def test_any_table_gives_what_the_published_rules_give_densely(numbers, ages, words, theta_1, theta_2):
    table = {"numbers": numbers, "ages": ages, "words": words}
    rows = [
        (stay, variable, value if isinstance(value, str) else None, value if isinstance(value, float) else None)
        for variable, values in table.items()
        for stay, value in enumerate(values, 1)
        if value is not None
    ]
    schema = {"stay_id": pl.Int64, "variable": pl.String, "value": pl.String, "value_number": pl.Float64}
    values = pl.LazyFrame(rows, schema=schema, orient="row").with_columns(subject_id="stay_id", hadm_id="stay_id")
    fitting = StaticSettings(theta_1=theta_1, theta_2=theta_2)
    features = fit_static(values, pl.LazyFrame({"stay_id": range(1, 10)}), fitting)
    cells = encode_static(values, features).collect()

    expected, aliases = dense_fiddle(table, theta_1, theta_2)
    columns = [
        np.isin(np.arange(1, 10), cells.filter(feature_index=index)["stay_id"]) for index in features["feature_index"]
    ]
    assert features["variable"].to_list() == [variable for variable, _ in expected]
    assert all(np.array_equal(own, other) for own, other in zip(columns, expected.values(), strict=True))
    complements = [[name.startswith("~") for name in names] for names in features["aliases"]]
    assert complements == [[not same for _, same in aliases.get(name, [])] for name in expected]
