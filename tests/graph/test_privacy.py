"""No id of a patient, admission, stay or study leaves the tables: for pages, Dagster's history, or what is printed."""

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from graph_runs import EVENTS

from lake import Lake

IDS = ("subject_id", "study_id", "hadm_id", "stay_id")
NUM_DIGITS = 8
"""An id of MIMIC-IV or MIMIC-CXR, and the least of those looked for: MIMIC-III's have six digits or fewer, as have
counts and sizes, and would be found where they are not."""
DIGEST = re.compile(r"\b[0-9a-f]{16,}\b")
FRACTION = re.compile(r"(?<=\d)\.\d+")
NUMBER = re.compile(r"\d+")


def ids_of(lake: Lake) -> set[str]:
    """Every long id of every published table, as text."""
    found = set()
    for name in lake.tables():
        rows = lake.scan(name)
        for column in set(IDS) & set(rows.collect_schema().names()):
            found |= set(rows.select(pl.col(column).cast(pl.String)).unique().drop_nulls().collect()[column])
    return {value for value in found if len(value) >= NUM_DIGITS}


def ids_in(text: str, ids: set[str]) -> set[str]:
    """The ids that are whole numbers of a text, also behind a letter as in a path; digests and fractions are none."""
    return ids & set(NUMBER.findall(FRACTION.sub(" ", DIGEST.sub(" ", text))))


def cells(database: Path) -> Iterator[str]:
    """Every value of every table of an SQLite file, as text: a page of the file may cut a value in two."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.text_factory = lambda value: value.decode(errors="replace")
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            for row in connection.execute(f'select * from "{table}"'):
                yield from (cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell) for cell in row)


def history(dagster_home: Path) -> str:
    """What Dagster has kept of every run: its databases, and what steps printed."""
    databases = sorted(dagster_home.rglob("*.db"))
    printed = [path for end in ("out", "err") for path in sorted(dagster_home.rglob(f"*.{end}"))]
    return "\n".join([*(cell for path in databases for cell in cells(path)), *(path.read_text() for path in printed)])


@pytest.fixture(scope="module")
def ids(finished_home: Path) -> set[str]:
    """The ids to look for, some of every kind."""
    found = ids_of(Lake(finished_home))
    kinds = {value[0] for value in found if len(value) == NUM_DIGITS}
    assert kinds >= set("1235"), "subjects, admissions, stays and studies of MIMIC-IV begin with these"
    return found


def test_dagsters_history_knows_no_id(finished_home: Path, ids: set[str]) -> None:
    of_tables, said = (finished_home / EVENTS).read_text(), history(finished_home / "dagster")
    for table, text in {"ehr_records": of_tables, "pretrain_checkpoint": said}.items():
        assert table in text and "dagster/row_count" in text, "the history was read"
    assert ids_in(of_tables, ids) == set() == ids_in(said, ids)


def test_what_the_commands_print_knows_no_id(finished_home: Path, ids: set[str]) -> None:
    assert ids_in((finished_home / "said.json").read_text(), ids) == set()


def test_the_pages_know_no_id(finished_home: Path, ids: set[str]) -> None:
    pages = sorted((finished_home / "report").glob("*.html"))
    assert len(pages) > 3
    assert {page.name: found for page in pages if (found := ids_in(page.read_text(), ids))} == {}


def test_an_id_in_a_log_line_is_found(finished_home: Path, ids: set[str], tmp_path: Path) -> None:
    some = min(ids)
    shutil.copytree(finished_home / "dagster", tmp_path / "dagster")

    @dg.op
    def careless(context: dg.OpExecutionContext) -> None:
        context.log.info(f"left out the record of {some}")

    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        dg.GraphDefinition("one_op", node_defs=[careless]).to_job().execute_in_process(instance=instance)
    assert ids_in(history(tmp_path / "dagster"), ids) == {some}


def test_an_id_is_found_behind_a_letter_and_not_inside_another_number() -> None:
    ids = {"10012937"}
    for text in ("subject 10012937 refused", "files/p10/p10012937/s5.txt", "[10012937,", '"subject_id": 10012937'):
        assert ids_in(text, ids) == ids
    for text in ("110012937", "0.10012937", "ab10012937cdef0123456789", "10,012,937"):
        assert ids_in(text, ids) == set()
