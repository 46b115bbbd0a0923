"""Does the encoded vector give the database away? On planted records."""

import numpy as np
import polars as pl
import pytest

from data_contracts.features import DemographicsShift
from data_contracts.records import EhrDemographics
from pipelines.features.demographics_shift import demographics_shift

GROUPS = {"race_group": "white", "insurance_group": "medicare", "admission_group": "emergency"}


def records(database: str, num_records: int, *, first: int, **columns) -> pl.DataFrame:
    """Records of subjects with two admissions each, who differ by age and sex alone unless `columns` say otherwise."""
    random = np.random.default_rng(first)
    described = {
        "subject_id": first + np.arange(num_records) // 2,
        "hadm_id": first + np.arange(num_records),
        "age_years": random.integers(18, 90, num_records).astype(float),
        "gender": random.choice(["F", "M"], num_records),
        **{name: [value] * num_records for name, value in GROUPS.items()},
        "care_unit_group": ["medical"] * num_records,
        **columns,
    }
    schema = {name: column.dtype for name, column in EhrDemographics.columns().items()}
    return pl.DataFrame(described, schema_overrides=schema).with_columns(database=pl.lit(database))


def test_equal_databases_cannot_be_told_apart() -> None:
    rows = pl.concat([records("mimic_iv", 300, first=20_000_000), records("mimic_iii", 200, first=100_000)])
    shift = DemographicsShift.validate(demographics_shift(rows), cast=True)
    assert shift.height == 3
    assert shift["auroc"][0] == pytest.approx(0.5, abs=0.1)
    assert shift.select("num_folds", "num_records", "num_mimic_iv_records").unique().rows() == [(5, 200, 300)]


def test_a_column_that_names_the_database_is_shown_first() -> None:
    named = records("mimic_iii", 200, first=100_000, care_unit_group=["other"] * 150 + ["medical"] * 50)
    shift = demographics_shift(pl.concat([records("mimic_iv", 300, first=20_000_000), named]))
    assert shift["auroc"][0] > 0.8
    assert set(shift["encoded_column"][:2]) == {"care_unit_group_other", "care_unit_group_medical"}
    other = shift.filter(pl.col("encoded_column") == "care_unit_group_other")
    assert other.select("mean", "mimic_iv_mean").rows() == [(0.75, 0.0)]
    assert other["weight"].item() > 0


def test_the_order_of_records_does_not_matter() -> None:
    rows = pl.concat([records("mimic_iv", 60, first=20_000_000), records("mimic_iii", 40, first=100_000)])
    assert demographics_shift(rows).equals(demographics_shift(rows.sample(fraction=1.0, shuffle=True, seed=1)))


def test_children_are_left_out_and_an_unknown_age_is_not() -> None:
    newborn = records("mimic_iii", 40, first=100_000, age_years=[0.0] * 20 + [None] * 20)
    shift = demographics_shift(pl.concat([records("mimic_iv", 60, first=20_000_000), newborn]))
    assert shift["num_records"].unique().to_list() == [20]


@pytest.mark.parametrize("num_records", [0, 2])
def test_without_two_subjects_there_is_nothing_to_tell(num_records) -> None:
    others = records("mimic_iii_carevue", num_records, first=100_000)
    shift = demographics_shift(pl.concat([records("mimic_iv", 60, first=20_000_000), others]))
    assert shift.is_empty()
    assert shift.columns == DemographicsShift.column_names()
