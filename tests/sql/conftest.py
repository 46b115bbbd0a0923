"""Runs the project's SQL over planted tables: a table is what a test fills it with, or empty under its contract."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from data_contracts import CONTRACTS
from lake.ids import id_share_macro
from lake.sql import SqlFile

SQL = Path(__file__).resolve().parents[2] / "sql"

SETTINGS: dict[str, Any] = {
    "record_time": "admission",
    "max_stays": 3,
    "max_pairs": 2000,
    "window_hours": 48,
    "diagnosis_grouping": "raw",
    "diagnosis_min_records": 1,
    "drug_min_records": 1,
    "ehr_holdout_share": 0.0,
    "holdout_seed": 0,
    "retrieval_share": 1.0,
    "retrieval_seed": 0,
    "theta_days": 30.0,
    "gap_from": "interval",
    "history": "to_date",
    "index_hours": 48,
    "split_seed": 0,
    "validation_share": 0.1,
    "test_share": 0.1,
    "num_folds": 5,
    "shared_sources": ["ehr", "cxr"],
    "own_sources": [],
    "labelled_sources": ["covid19", "chexpert"],
    "first_id": 900_000_000,
}

EMPTY_TABLES: dict[str, str] = {}
"""Statements that create an empty table, by its name."""

FILM_TABLES = ("mimic_cxr_films", "open_i_films", "covid19_films", "chexpert_films")
DEFAULTS = {"database": "mimic_iv", "system": "mimic_iv"}
FILM_DEFAULTS = {"database": "mimic_cxr", "source": "cxr"}

Rows = pl.DataFrame | list[dict[str, Any]]


class Database:
    """A DuckDB with the tables of the contracts, made as they are named, and the settings as variables."""

    settings = SETTINGS
    sql = SQL

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.made: set[str] = set()
        self.set(**SETTINGS)

    def set(self, **settings: Any) -> None:
        for name, value in settings.items():
            self.connection.execute(f"set variable {name} = $value", {"value": value})

    def execute(self, statements: str) -> None:
        """Run statements over the tables they name."""
        self._make_tables(statements)
        self.connection.execute(statements)

    def _make_tables(self, statements: str) -> None:
        for table in CONTRACTS.keys() & set(re.findall(r"\w+", statements)) - self.made:
            self.connection.execute(self._empty_table(table))
            self.made.add(table)

    def fill(self, tables: Mapping[str, Rows]) -> None:
        for table, rows in tables.items():
            frame = rows if isinstance(rows, pl.DataFrame) else planted(table, rows)
            self.connection.register("_planted", frame)
            self.connection.execute(f"create or replace table {table} as select * from _planted")
            self.made.add(table)

    def select(self, query: str) -> pl.DataFrame:
        self._make_tables(query)
        return self.connection.sql(query).pl()

    def run(self, file: str) -> pl.DataFrame:
        """The rows of a SQL file."""
        return self.select(SqlFile.read(SQL / file).statement())

    def build(self, table: str, file: str) -> pl.DataFrame:
        """The rows of a SQL file, valid under their contract, and the table filled with them.

        Records and diagnoses bring the admissions that they are of.
        """
        if table in ("ehr_records", "admission_diagnoses"):
            self.build("ehr_admissions", "records/ehr_admissions.sql")
        contract = CONTRACTS[table]
        rows = self.run(file) if file else pl.concat(self.select(f"from {films}") for films in FILM_TABLES)
        assert rows.columns == contract.column_names()
        frame = contract.validate(rows, cast=True)
        if contract.key:
            assert frame.select(contract.key).is_duplicated().sum() == 0
        self.fill({table: frame})
        return frame

    def clear(self) -> None:
        """Drop whatever a test has made."""
        for table in self.made:
            self.connection.execute(f"drop table if exists {table}")

    def _empty_table(self, table: str) -> str:
        """The statement that creates an empty table under its contract."""
        if table not in EMPTY_TABLES:
            self.connection.register("_empty", CONTRACTS[table].create_empty())
            columns = self.connection.sql("describe from _empty").pl().select("column_name", "column_type").iter_rows()
            columns_of = ", ".join(f"{name} {dtype}" for name, dtype in columns)
            EMPTY_TABLES[table] = f"create table {table} ({columns_of})"
        return EMPTY_TABLES[table]


def planted(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A frame of a contract, MIMIC's by default; other columns that a row does not give are null. Times may be text."""
    columns = CONTRACTS[table].columns()
    defaults = FILM_DEFAULTS if table.startswith("cxr_") or table in FILM_TABLES else DEFAULTS
    unknown = {name for row in rows for name in row} - columns.keys()
    assert not unknown, f"{table} has no columns {unknown}"
    series = []
    for name, column in columns.items():
        values = [row.get(name, defaults.get(name)) for row in rows]
        if column.dtype == pl.Datetime("us") and any(isinstance(value, str) for value in values):
            series.append(pl.Series(name, values, dtype=pl.String).str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us"))
        else:
            series.append(pl.Series(name, values, dtype=column.dtype, strict=False))
    return pl.DataFrame(series)


def _connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(id_share_macro())
    return connection


@pytest.fixture(scope="session")
def shared_connection() -> duckdb.DuckDBPyConnection:
    return _connect()


@pytest.fixture
def database(shared_connection: duckdb.DuckDBPyConnection) -> Iterator[Database]:
    """Empty tables in a DuckDB that the tests share: to open one costs more than most of them."""
    database = Database(shared_connection)
    yield database
    database.clear()


@pytest.fixture
def own_database() -> Database:
    """A DuckDB of the test's own, for what it could not leave clean."""
    return Database(_connect())


RECORD_FILES = {
    "ehr_admissions": "records/ehr_admissions.sql",
    "ehr_records": "records/ehr_records.sql",
    "ehr_stays": "records/ehr_stays.sql",
    "admission_diagnoses": "records/admission_diagnoses.sql",
    "ehr_codes": "records/ehr_codes.sql",
    "ehr_readings": "records/ehr_readings.sql",
    "ehr_notes": "records/ehr_notes.sql",
    "ehr_demographics": "records/ehr_demographics.sql",
    "mimic_cxr_films": "records/mimic_cxr_films.sql",
    "open_i_texts": "records/open_i_texts.sql",
    "open_i_films": "records/open_i_films.sql",
    "covid19_films": "records/covid19_films.sql",
    "chexpert_films": "records/chexpert_films.sql",
    "cxr_records": "",
    "cohort_split": "links/cohort_split.sql",
    "same_patient_pairs": "links/same_patient_pairs.sql",
    "diagnosis_vocabulary": "features/diagnosis_vocabulary.sql",
    "drug_vocabulary": "features/drug_vocabulary.sql",
    "diagnosis_histories": "links/diagnosis_histories.sql",
}
"""Tables in graph order, and the SQL that makes each; none for the union of all films."""


@pytest.fixture
def build_all(database: Database) -> Callable[[], dict[str, pl.DataFrame]]:
    return lambda: {table: database.build(table, file) for table, file in RECORD_FILES.items()}


@pytest.fixture
def planted_hospital(database: Database) -> Database:
    """One subject with an admission, an ICU stay, a code and a film with its report."""
    image = "00000000-00000000-00000000-00000000-00000000"
    database.fill(
        {
            "mimic_iv__admissions": [
                {"subject_id": 1, "hadm_id": 10, "admittime": "2180-01-01 00:00:00", "dischtime": "2180-01-09 00:00:00"}
            ],
            "mimic_iv__icustays": [{"subject_id": 1, "hadm_id": 10, "stay_id": 100, "intime": "2180-01-02 00:00:00"}],
            "mimic_iv__diagnoses_icd": [
                {"subject_id": 1, "hadm_id": 10, "seq_num": 1, "icd_code": "4019", "icd_version": 9}
            ],
            "mimic_iv__patients": [{"subject_id": 1, "gender": "F", "anchor_age": 60, "anchor_year": 2178}],
            "mimic_cxr__record_list": [{"subject_id": 1, "study_id": 50, "dicom_id": image, "path": "files/a.dcm"}],
            "mimic_cxr__reports": [{"subject_id": 1, "study_id": 50, "path": "files/s50.txt", "text": "clear"}],
            "mimic_cxr_jpg__metadata": [
                {"subject_id": 1, "study_id": 50, "dicom_id": image, "study_time": "2180-01-03 00:00:00"}
            ],
        }
    )
    for table, file in RECORD_FILES.items():
        database.build(table, file)
    return database
