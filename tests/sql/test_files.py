"""Every SQL file: one SELECT that runs on empty tables, its grain said first, its columns those of the contract."""

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from data_contracts import CONTRACTS
from lake.sql import SqlFile

SQL = Path(__file__).resolve().parents[2] / "sql"
EVERY = sorted(path for path in SQL.rglob("*.sql") if path.name != "catalog.sql")
PARTS = [path for path in EVERY if path.parent.with_suffix(".sql").is_file()]
FILES = [path.relative_to(SQL).as_posix() for path in EVERY if path not in PARTS]
CHECKS = [file for file in FILES if file.startswith("checks/")]
QUERIES = [file for file in FILES if file.startswith("queries/")]
TABLES = [file for file in FILES if Path(file).stem in CONTRACTS]


def test_every_table_has_one_file() -> None:
    assert len({Path(file).stem for file in TABLES}) == len(TABLES)
    assert len(FILES) == len(TABLES) + len(CHECKS) + len(QUERIES)


def is_by_name(star: exp.Star) -> bool:
    """Whether a star takes tables as they are, for a union by name from which the file then chooses columns."""
    union = star.find_ancestor(exp.Union)
    return union is not None and bool(union.args.get("by_name"))


@pytest.mark.parametrize("file", FILES)
def test_file_is_one_select_in_order(file: str, database) -> None:
    text = (SQL / file).read_text()
    assert text.startswith("-- ")
    statement = sqlglot.parse_one(text, dialect="duckdb")
    assert isinstance(statement, exp.Select)
    # A check may return a single row of counts.
    assert statement.args.get("order") or file.endswith("__positions.sql")
    assert all(isinstance(star.parent, exp.Count) or is_by_name(star) for star in statement.find_all(exp.Star))
    rows = database.run(file)
    assert rows.is_empty() or "positions" in file


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.stem)
def test_part_is_one_select_that_its_file_or_another_part_reads(path: Path) -> None:
    """It has no order of its own: nobody reads it alone."""
    assert path.read_text().startswith("-- ")
    statement = sqlglot.parse_one(path.read_text(), dialect="duckdb")
    assert isinstance(statement, exp.Query) and not statement.args.get("order")
    whole = sqlglot.parse_one(SqlFile.read(path.parent.with_suffix(".sql")).statement(), dialect="duckdb")
    assert path.stem in {table.name for table in whole.find_all(exp.Table)}


@pytest.mark.parametrize("file", TABLES)
def test_table_has_its_contracts_columns(file: str, database) -> None:
    contract = CONTRACTS[Path(file).stem]
    rows = database.run(file)
    assert rows.columns == contract.column_names()
    contract.validate(rows, cast=True)


@pytest.mark.parametrize("file", CHECKS)
def test_check_says_its_severity_and_its_tables(file: str) -> None:
    text = (SQL / file).read_text()
    comment = " ".join(line.removeprefix("--").strip() for line in text.splitlines() if line.startswith("--"))
    severity, named = re.search(r"severity: (\w+); grain: [^;]+; tables: ([\w, ]+)\.", comment).groups()
    assert severity == ("warning" if "warnings/" in file else "blocking")
    statement = sqlglot.parse_one(text, dialect="duckdb")
    read = {table.name for table in statement.find_all(exp.Table)} - {cte.alias for cte in statement.find_all(exp.CTE)}
    assert set(named.split(", ")) == read
    assert Path(file).stem.split("__")[0] in CONTRACTS


def test_views_of_the_catalogue(own_database) -> None:
    database = own_database
    database.execute(
        """create schema tables; create table tables.metrics as from metrics; drop table metrics;
        create table published (table_name text, created_time timestamptz);"""
    )
    database.execute((SQL / "catalog.sql").read_text())
    database.fill(
        {
            "cohort_split": [
                {"source": "ehr", "record_id": "10", "subject_id": 1, "study_id": 10, "split": "pretrain"}
            ],
            "ehr_records": [{"record_id": "10", "subject_id": 1, "record_time": "2180-01-01 00:00:00"}],
            "mimic_iv__d_items": [
                {"itemid": 220045, "label": "Heart Rate", "linksto": "chartevents", "unitname": "bpm"},
                {"itemid": 221906, "label": "Norepinephrine", "linksto": "inputevents", "unitname": "mg"},
            ],
            "mimic_iv__d_labitems": [{"itemid": 50912, "label": "Creatinine", "fluid": "Blood"}],
        }
    )
    columns = "source, database, record_id, split, cast(record_time as varchar) as record_time"
    assert database.select(f"select {columns} from records").rows() == [
        ("ehr", "mimic_iv", "10", "pretrain", "2180-01-01 00:00:00")
    ]
    assert database.select("select variable, label, unit from variables order by variable").rows() == [
        ("chart_220045", "Heart Rate", "bpm"),
        ("input_221906", "Norepinephrine", "mg"),
        ("lab_50912", "Creatinine (Blood)", None),
    ]
