"""Demographics as a vector: scaled age, a flag for a missing age, and one indicator per category of the contract.

Not here: how categories are folded (`sql/records/ehr_demographics.sql`), and how far the vector gives away which
database a record is from (`demographics_shift`).
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_contracts.records import EhrDemographics

AGE_CENTRE_YEARS = 60.0
AGE_SCALE_YEARS = 20.0
CATEGORICAL = ("gender", "race_group", "insurance_group", "admission_group", "care_unit_group")


def demographics_names() -> list[str]:
    """Return the names of the encoded columns, in order; they depend on the contract alone, never on the data."""
    return ["age_scaled", "age_missing", *(f"{column}_{value}" for column, value in _categories())]


def encode_demographics(demographics: pl.DataFrame) -> tuple[list[str], NDArray[np.float32]]:
    """Encode demographics row by row.

    Args:
        demographics: rows of contract EhrDemographics.

    Returns:
        Names of the columns, and their values, float32 (rows, columns): (age - 60) / 20 with 0 where it is missing, 1
        where it is missing, and indicators. A missing category has no indicator.
    """
    age = (pl.col("age_years").cast(pl.Float64) - AGE_CENTRE_YEARS) / AGE_SCALE_YEARS
    encoded = demographics.select(
        age.fill_null(0.0).cast(pl.Float32).alias("age_scaled"),
        pl.col("age_years").is_null().cast(pl.Float32).alias("age_missing"),
        *(
            (pl.col(column).cast(pl.String) == value).fill_null(False).cast(pl.Float32).alias(f"{column}_{value}")
            for column, value in _categories()
        ),
    )
    return encoded.columns, np.ascontiguousarray(encoded.to_numpy(), dtype=np.float32)


def _categories() -> list[tuple[str, str]]:
    columns = EhrDemographics.columns()
    return [(column, value) for column in CATEGORICAL for value in columns[column].dtype.categories]  # type: ignore[attr-defined]
