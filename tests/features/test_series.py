import random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.features import EhrSeries, SeriesFeatures
from pipelines.features.series import SeriesSettings, SeriesVocabulary, encode_series
from pipelines.features.series_bins import column_features, interval_labels, number_text, quantile_edges
from pipelines.features.series_fit import (
    candidate_columns,
    cell_counts,
    clean_parts,
    fit_series,
    fitted_features,
    moved_variables,
    select_variables,
    value_counts,
    variable_counts,
)
from pipelines.features.series_hours import hourly_values, numbers_and_texts

FREQUENT = SeriesSettings(window_hours=4, theta_1=0.0, theta_2=0.0, theta_freq=0.5)
RARE = SeriesSettings(window_hours=4, theta_1=0.0, theta_2=0.0, theta_freq=99.0)
VALUES = st.one_of(st.integers(-5, 5), st.sampled_from(["x", "y", "7", " "]), st.none())
ROWS = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from("abc"), st.sampled_from([0.0, 0.5, 1.25, 2.0, 3.75]), VALUES),
    min_size=1,
    max_size=40,
)


def readings(*rows):
    """(stay, variable, offset, value) rows; a value that is a number stands in value_number too."""
    return pl.LazyFrame(
        [
            {
                "subject_id": stay,
                "hadm_id": stay,
                "stay_id": stay,
                "variable": variable,
                "offset_hours": float(offset),
                "value": None if value is None else str(value),
                "value_number": float(value) if isinstance(value, int | float) else None,
            }
            for stay, variable, offset, value in rows
        ],
        schema={
            "subject_id": pl.Int64,
            "hadm_id": pl.Int64,
            "stay_id": pl.Int64,
            "variable": pl.String,
            "offset_hours": pl.Float64,
            "value": pl.String,
            "value_number": pl.Float64,
        },
    )


def stays(*ids):
    return pl.LazyFrame({"stay_id": list(ids)}, schema={"stay_id": pl.Int64})


def cells(rows, vocabulary):
    """(stay, bin, feature name) of every non-zero cell, sorted."""
    names = dict(vocabulary.features.select("feature_index", "feature").iter_rows())
    found = encode_series(rows, vocabulary).collect()
    assert set(found["value"]) <= {1.0}
    return sorted((stay, hour, names[index]) for _, _, stay, hour, index, _ in found.iter_rows())


def fit(rows, setting, ids=(1, 2)):
    return fit_series(rows, stays(*ids), setting)


def test_the_last_reading_of_an_hour_stands_for_it():
    rows = readings((1, "a", 0.1, "low"), (1, "a", 0.9, "high"), (1, "a", 1.0, "low"), (2, "a", 3.5, "low"))
    assert cells(rows, fit(rows, RARE)) == [(1, 0, "a_value_high"), (1, 1, "a_value_low"), (2, 3, "a_value_low")]


def test_texts_of_one_moment_all_count_and_the_largest_number():
    rows = readings((1, "a", 0.5, "x"), (1, "a", 0.5, "y"), (1, "b", 1.5, 1), (1, "b", 1.5, 2), (2, "b", 0, 1))
    assert cells(rows, fit(rows, RARE)) == [(1, 0, "a_value_x"), (1, 1, "b_value_2"), (2, 0, "b_value_1")]
    aliases = dict(fit(rows, RARE).features.select("feature", "aliases").iter_rows())
    assert aliases["a_value_x"] == ["a_value_y"]


def test_two_numbers_are_categories_three_are_intervals():
    two = readings((1, "a", 0, 5), (1, "a", 1, 7.5), (2, "a", 0, 7.5))
    assert fit(two, RARE).features["feature"].to_list() == ["a_value_5", "a_value_7.5"]
    three = readings((1, "a", 0, 0), (1, "a", 1, 1), (2, "a", 0, 2))
    features = fit(three, RARE).features
    assert features["feature"].to_list() == ["a_value_(-0.001, 0.4]", "a_value_(0.8, 1.2]", "a_value_(1.6, 2.0]"]
    assert features["low_inclusive"].to_list() == [True, False, False]


def test_numbers_and_texts_of_one_variable_stand_side_by_side():
    rows = readings((1, "a", 0, 1), (1, "a", 1, 2), (1, "a", 2, 3), (2, "a", 0, ">9"), (2, "a", 1, "5 "))
    names = fit(rows, RARE).features["feature"].to_list()
    assert [name for name in names if "(" not in name] == ["a_value_>9"]
    assert (2, 1, "a_value_(3.8, 5.0]") in cells(rows, fit(rows, RARE))


def test_a_variable_must_be_read_in_more_than_theta_1_of_the_stays():
    rows = readings((1, "a", 0, "x"), (1, "b", 0, "y"), (2, "b", 1, "y"))
    half = SeriesSettings(window_hours=4, theta_1=0.5, theta_2=0.0)
    assert fit(rows, half).features["variable"].to_list() == ["b"]


def test_stays_without_readings_count_in_every_share():
    rows = readings((1, "a", 0, "x"), (2, "a", 1, "x"))
    third = SeriesSettings(window_hours=4, theta_1=0.7, theta_2=0.0)
    assert fit(rows, third, ids=(1, 2)).num_features == 1
    assert fit(rows, third, ids=(1, 2, 3)).num_features == 0


def test_a_feature_needs_more_than_theta_2_of_the_stays_with_a_one_and_with_a_zero():
    rows = readings((1, "a", 0, "x"), *((stay, "b", hour, "on") for stay in (1, 2, 3) for hour in range(4)))
    assert fit(rows, RARE, ids=(1, 2, 3)).features["feature"].to_list() == ["a_value_x"]  # b is always one
    third = SeriesSettings(window_hours=4, theta_1=0.0, theta_2=1 / 3, theta_freq=99.0)
    assert fit(rows, third, ids=(1, 2, 3)).num_features == 0


def test_readings_outside_the_window_and_without_value_are_not_read():
    rows = readings((1, "a", 4.0, "x"), (1, "b", 3.99, "y"), (1, "c", 0, None), (1, "d", 0, " "), (2, "b", 0, "y"))
    assert cells(rows, fit(rows, RARE)) == [(1, 3, "b_value_y"), (2, 0, "b_value_y")]
    infinite = readings((1, "a", 0, float("inf")), (1, "a", 1, float("nan")), (2, "b", 0, "y"))
    assert cells(infinite, fit(infinite, RARE)) == [(2, 0, "b_value_y")]


def test_frequent_variables_show_mask_delta_fill_and_statistics():
    rows = readings(
        (1, "a", 1.2, 10), (1, "a", 1.6, 30), (1, "a", 1.7, 20), (1, "b", 0, "z"), (2, "a", 0, 50), (2, "a", 3, 70)
    )
    vocabulary = fit(rows, FREQUENT)
    assert vocabulary.features.filter(pl.col("variable") == "a")["is_filled"].all()
    # hours of stay 1: none, 10..30 (last 20, mean 20), filled, filled; of 2: 50, filled, filled, 70; of 3: none at all
    shown = fitted_values(pl.concat([rows, readings((3, "b", 0, "z"))]))
    assert shown["mask"] == {(1, 1): 1.0, (2, 0): 1.0, (2, 3): 1.0}
    assert {key: hours for key, hours in shown["delta_time"].items() if hours} == {
        (1, 2): 1.0,
        (1, 3): 2.0,
        (2, 1): 1.0,
        (2, 2): 2.0,
    }
    assert len(shown["delta_time"]) == 12
    assert shown["value"] == {(1, 1): 20, (1, 2): 20, (1, 3): 20, (2, 0): 50, (2, 1): 50, (2, 2): 50, (2, 3): 70}
    assert shown["min"] == {**shown["value"], (1, 1): 10}
    assert shown["max"] == {**shown["value"], (1, 1): 30}
    assert shown["mean"] == shown["value"]


def fitted_values(rows):
    hourly = hourly_values(
        numbers_and_texts(rows, window_hours=4).collect(),
        variables=["a"],
        frequent=["a"],
        statistics=("min", "max", "mean"),
        window_hours=4,
    )
    return {
        column.statistic: {
            (int(hourly.stay_ids[stay]), int(first + later)): float(number)
            for stay, first, hours, number in zip(column.stay, column.bin, column.num_hours, column.number, strict=True)
            for later in range(hours)
        }
        for column in hourly.columns
    }


def test_means_do_not_depend_on_the_order_of_readings():
    values = [0.1, 0.2, 0.3, 1e6, -1e6, 0.7]
    rows = [(1, "a", k / 10, value) for k, value in enumerate(values)]
    means = set()
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        means.add(fitted_values(readings(*rows))["mean"][(1, 0)])
    assert means == {1.3 / 6}


def test_a_complement_is_an_alias():
    rows = readings(*((stay, "a", hour, hour + stay) for stay in (1, 2) for hour in range(0, 4, 2)))
    only = SeriesSettings(window_hours=4, theta_1=0.0, theta_2=0.0, theta_freq=0.5, statistics=())
    features = fit(rows, only).features
    aliases = dict(features.select("feature", "aliases").iter_rows())
    assert aliases["a_mask"] == ["a_delta_time_0", "~{a_delta_time_1}"]


def test_encoding_other_stays_changes_nothing_that_was_fitted():
    rows = readings((1, "a", 0, 1), (1, "a", 1, 2), (2, "a", 0, 3))
    others = readings((3, "a", 0, 1.2), (3, "a", 1, 99), (3, "a", 2, "new"), (3, "z", 3, 1))
    vocabulary = fit(pl.concat([rows, others]), RARE)
    assert vocabulary.features.equals(fit(rows, RARE).features)
    assert cells(others, vocabulary) == [(3, 0, "a_value_(0.999, 1.4]")]  # 99, "new" and z were not fitted


@settings(max_examples=30, deadline=None)
@given(rows=ROWS)
def test_counts_of_any_shards_add_up_to_the_fit_of_all(rows):
    setting = SeriesSettings(window_hours=4, theta_1=0.0, theta_2=0.0, theta_freq=0.3)
    shards = [clean_parts(readings(*rows), stays(*ids), window_hours=4) for ids in ((1, 3), (2,), (4,))]
    variables = select_variables(
        [variable_counts(shard) for shard in shards], num_stays=4, theta_1=0.0, theta_freq=0.3, window_hours=4
    )
    shown = [value_counts(shard, variables, statistics=("min", "max", "mean"), window_hours=4) for shard in shards]
    candidates = column_features(candidate_columns(shown, variables))
    counts = pl.concat([cell_counts(shard, candidates, window_hours=4) for shard in shards])
    kept = fitted_features(candidates, counts, stays(1, 2, 3, 4), window_hours=4, theta_2=0.0)
    assert kept.equals(fit(readings(*rows), setting, ids=(1, 2, 3, 4)).features)


def test_the_variables_whose_edges_moved_are_named():
    rows = [(1, "a", 0, 1), (1, "a", 1, 2), (2, "a", 0, 3), (1, "b", 0, "x"), (2, "c", 1, "y")]
    before = fit(readings(*rows), RARE).features
    after = fit(readings(*rows[:-1], (2, "a", 3, 9), (1, "d", 2, "z")), RARE).features
    assert moved_variables(after, after) == []
    assert moved_variables(after, before) == ["a", "c", "d"]


def test_no_variable_passes():
    rows = readings((1, "a", 0, 1))
    vocabulary = fit(rows, SeriesSettings(theta_1=0.9))
    assert vocabulary.num_features == 0
    assert encode_series(rows, vocabulary).collect().is_empty()


def test_no_stay_is_an_error():
    with pytest.raises(ValueError, match="no stay to fit"):
        fit(readings(), RARE, ids=())


@pytest.mark.parametrize(
    "wrong", [{"statistics": ("median",)}, {"window_hours": 0}, {"window_hours": 256}, {"fit_on": "some"}]
)
def test_wrong_settings_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SeriesSettings(**wrong)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, frequency=st.sampled_from([0.0, 0.3, 9.0]), order=st.randoms(use_true_random=False))
def test_vocabulary_and_cells_survive_storage_and_shuffling(rows, frequency, order):
    setting = SeriesSettings(window_hours=4, theta_1=0.0, theta_2=0.0, theta_freq=frequency)
    vocabulary = fit(readings(*rows), setting, ids=(1, 2, 3, 4))
    order.shuffle(rows)
    again = fit_series(readings(*rows), stays(4, 3, 2, 1), setting, readings_per_chunk=order.randint(1, 9))
    assert vocabulary.features.equals(again.features)

    stored, failure = SeriesFeatures.filter(vocabulary.features)
    assert len(failure) == 0
    restored = SeriesVocabulary(features=stored, settings=setting)
    found = encode_series(readings(*rows), restored).collect()
    chunked = encode_series(readings(*rows), restored, readings_per_chunk=3)
    assert chunked.collect().sort(pl.all()).equals(found.sort(pl.all()))
    assert chunked.filter(pl.col("bin") > 1).select("bin").head(2).collect().height == min(2, (found["bin"] > 1).sum())
    keys = list(EhrSeries.key)
    assert not found.select(keys).is_duplicated().any()
    assert EhrSeries.filter(found, cast=True)[1].counts() == {}
    # every feature that was kept is shown by some cell of the stays it was fitted on
    assert set(found["feature_index"]) == set(range(vocabulary.num_features))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.floats(-1e6, 1e6), st.integers(1, 50), min_size=1, max_size=20))
def test_edges_are_numpy_percentiles_of_the_counted_values(counts):
    values = np.array(sorted(counts))
    repeats = np.array([counts[value] for value in sorted(counts)])
    expected = np.unique(np.percentile(np.repeat(values, repeats), np.linspace(0, 100, 6)))
    assert quantile_edges(values, repeats) == tuple(expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=3, max_size=30, unique=True))
def test_every_fitted_number_lies_in_one_interval(numbers):
    rows = readings(*((k, "a", 0, value) for k, value in enumerate(numbers)))
    setting = SeriesSettings(window_hours=1, theta_1=0.0, theta_2=0.0, theta_freq=99.0)
    vocabulary = fit(rows, setting, ids=range(len(numbers)))
    ranges = {
        index: (low, high) for index, low, high in vocabulary.features["feature_index", "low", "high"].iter_rows()
    }
    found = encode_series(rows, vocabulary).collect()
    shown = dict(found.select("stay_id", "feature_index").iter_rows())
    assert len(found) == len(shown) == len(numbers)
    for stay, index in shown.items():
        low, high = ranges[index]
        assert low < numbers[stay] <= high or low == numbers[stay] == min(numbers)


@pytest.mark.parametrize(
    ("edges", "labels"),
    [
        ((), []),
        ((42.0, 73.0, 82.0), ["(41.999, 73.0]", "(73.0, 82.0]"]),
        ((5.1, 5.4), ["(5.098999999999999, 5.4]"]),
        ((0.0, 0.0004, 1.0), ["(-0.001, 0.0004]", "(0.0004, 1.0]"]),
        ((1.0, 1.0001, 1.0002), ["(0.9999, 1.0001]", "(1.0001, 1.0002]"]),
    ],
)
def test_labels_show_three_digits_or_as_many_as_tell_edges_apart(edges, labels):
    assert interval_labels(edges) == labels


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_category_reads_back_as_the_number(value):
    assert float(number_text(value)) == value
