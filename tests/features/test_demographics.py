import numpy as np
import polars as pl

from data_contracts.records import EhrDemographics
from pipelines.features.demographics import demographics_names, encode_demographics


def demographics(*rows):
    schema = {name: column.dtype for name, column in EhrDemographics.columns().items()}
    return pl.DataFrame([dict.fromkeys(schema) | row for row in rows], schema=schema)


def encoded(**row):
    names, values = encode_demographics(demographics(row))
    return dict(zip(names, values[0].tolist(), strict=True))


def test_names_come_from_the_contract():
    names = demographics_names()
    assert names[:4] == ["age_scaled", "age_missing", "gender_F", "gender_M"]
    assert len(names) == len(set(names)) == 23
    assert encode_demographics(demographics())[0] == names


def test_age_is_scaled_and_its_absence_flagged():
    assert encoded(age_years=80.0)["age_scaled"] == 1.0
    assert encoded(age_years=80.0)["age_missing"] == 0.0
    assert encoded()["age_scaled"] == 0.0
    assert encoded()["age_missing"] == 1.0


def test_each_category_has_one_indicator_and_a_missing_one_none():
    full = encoded(
        age_years=60.0,
        gender="M",
        race_group="asian",
        insurance_group="other",
        admission_group="elective",
        care_unit_group="surgical",
    )
    assert {name for name, value in full.items() if value} == {
        "gender_M",
        "race_group_asian",
        "insurance_group_other",
        "admission_group_elective",
        "care_unit_group_surgical",
    }
    assert {name for name, value in encoded().items() if value} == {"age_missing"}


def test_rows_keep_their_order_and_dtype():
    values = encode_demographics(demographics({"gender": "F"}, {"gender": "M"}))[1]
    assert values.dtype == np.float32
    assert values[:, 2:4].tolist() == [[1.0, 0.0], [0.0, 1.0]]
