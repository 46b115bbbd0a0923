"""The open slice of the real MIMIC-IV demo as records: exact counts."""

import polars as pl
import pytest

from pipelines.sources import SOURCES

EHR_FILES = {
    "ehr_records": "records/ehr_records.sql",
    "ehr_stays": "records/ehr_stays.sql",
    "admission_diagnoses": "records/admission_diagnoses.sql",
    "ehr_codes": "records/ehr_codes.sql",
    "ehr_readings": "records/ehr_readings.sql",
    "ehr_demographics": "records/ehr_demographics.sql",
    "cohort_split": "links/cohort_split.sql",
    "diagnosis_vocabulary": "features/diagnosis_vocabulary.sql",
    "drug_vocabulary": "features/drug_vocabulary.sql",
}

ONE_UNIT = {"chart_223761": "chart_223762", "chart_226531": "chart_226512", "chart_226707": "chart_226730"}
"""Ids that come in pounds, inches or Fahrenheit, and those whose unit they are shown in."""


@pytest.fixture(scope="module")
def raw_tables(open_data) -> dict[str, pl.DataFrame]:
    tables = SOURCES["mimic_iv"].tables
    return {table.table: table.read(open_data / "mimic-iv-demo-25pt").drop("_rejected").collect() for table in tables}


@pytest.fixture
def hospital(raw_tables, database):
    database.fill(raw_tables)
    return database


def test_records_of_the_slice(hospital, open_data) -> None:
    built = {table: hospital.build(table, file) for table, file in EHR_FILES.items()}
    assert {table: rows.height for table, rows in built.items()} == {
        "ehr_records": 29,
        "ehr_stays": 31,
        "admission_diagnoses": 993,
        "ehr_codes": 1562,
        "ehr_readings": 41_712,
        "ehr_demographics": 29,
        "cohort_split": 29,
        "diagnosis_vocabulary": 408,
        "drug_vocabulary": 236,
    }
    for check in sorted((hospital.sql / "checks").glob("ehr_*.sql")):
        assert hospital.run(f"checks/{check.name}").is_empty(), check.name

    # Charted readings and laboratory results are those that the oracle of the hourly features was made from, which
    # holds no repeats and keeps the ids of one thing in two units apart.
    oracle = pl.read_csv(open_data / "hourly-features-oracle/mimic-iv-31-stays/data.csv.gz", infer_schema=False)
    oracle = oracle.filter(pl.col("t").is_not_null() & (pl.col("t") != "")).select(
        pl.col("ID").cast(pl.Int64).alias("stay_id"),
        pl.col("variable_name").replace(ONE_UNIT).alias("variable"),
        (pl.col("t").cast(pl.Float64) * 3600).round().cast(pl.Int64).alias("seconds"),
    )
    charted = built["ehr_readings"].filter(pl.col("variable").str.contains("^(chart|lab)_"))
    assert charted.height == 29_698
    readings = charted.select(
        "stay_id", "variable", (pl.col("offset_hours") * 3600).round().cast(pl.Int64).alias("seconds")
    )
    assert set(readings.iter_rows()) == set(oracle.iter_rows())


@pytest.mark.parametrize(
    ("history", "num_without", "num_codes"), [("to_date", 0, 783), ("prior", 19, 229), ("all", 0, 892)]
)
def test_histories_of_the_slice(history: str, num_without: int, num_codes: int, hospital) -> None:
    for table in ("ehr_records", "admission_diagnoses", "ehr_codes", "cohort_split", "diagnosis_vocabulary"):
        hospital.build(table, EHR_FILES[table])
    hospital.set(history=history)
    lengths = hospital.build("diagnosis_histories", "links/diagnosis_histories.sql")["num_codes"]
    assert ((lengths == 0).sum(), lengths.sum()) == (num_without, num_codes)
