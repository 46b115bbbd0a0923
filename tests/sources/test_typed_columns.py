"""Text becomes the contract's dtype, or the row says why not."""

from datetime import datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_contracts import CONTRACTS
from pipelines.sources.typed_columns import parse_time, typed

GOOD = {
    "mimic_iv__chartevents": {
        "subject_id": "10000032",
        "hadm_id": "29079034",
        "stay_id": "39553978",
        "charttime": "2180-07-23 12:36:00",
        "storetime": "",
        "itemid": "226512",
        "value": "39.4 ",
        "valuenum": "39.4",
        "valueuom": "kg",
    },
    "mimic_iv__patients": {
        "subject_id": "1",
        "gender": "F",
        "anchor_age": "52",
        "anchor_year": "2180",
        "anchor_year_group": "2014 - 2016",
        "dod": "2180-09-09",
    },
}


def type_one(table: str, **changes: str | None) -> dict[str, Any]:
    row = {**GOOD[table], **changes}
    frame = pl.LazyFrame([row], schema=dict.fromkeys(row, pl.String))
    result = typed(frame, CONTRACTS[table]).collect()
    assert result.columns == [*CONTRACTS[table].column_names(), "_rejected"]
    assert result.drop("_rejected").schema == CONTRACTS[table].create_empty().schema
    return result.row(0, named=True)


@pytest.mark.parametrize("table", GOOD)
def test_good_row_is_typed(table: str) -> None:
    assert type_one(table)["_rejected"] is None


def test_blanks_and_empty_text() -> None:
    row = type_one("mimic_iv__chartevents", valueuom="", value="39.4 \t")
    assert (row["value"], row["valueuom"], row["storetime"]) == ("39.4", None, None)


@pytest.mark.parametrize(
    ("table", "column", "text", "rule"),
    [
        ("mimic_iv__chartevents", "charttime", "soon", "charttime: not a timestamp"),
        ("mimic_iv__chartevents", "charttime", "2180-02-30 10:00:00", "charttime: not a timestamp"),
        ("mimic_iv__chartevents", "charttime", "", "charttime: empty"),
        ("mimic_iv__chartevents", "charttime", None, "charttime: empty"),
        ("mimic_iv__chartevents", "storetime", "2180-07-23 12:36 PM", "storetime: not a timestamp"),
        ("mimic_iv__chartevents", "subject_id", "P12", "subject_id: not a whole number"),
        ("mimic_iv__chartevents", "itemid", "12.5", "itemid: not a whole number"),
        ("mimic_iv__chartevents", "valuenum", "high", "valuenum: not a number"),
        ("mimic_iv__chartevents", "valuenum", "nan", "valuenum: not a number"),
        ("mimic_iv__chartevents", "valuenum", "inf", "valuenum: not a number"),
        ("mimic_iv__patients", "gender", "X", "gender: not one of F, M"),
        ("mimic_iv__patients", "dod", "never", "dod: not a date"),
        ("mimic_iv__patients", "anchor_age", "99999", "anchor_age: not a whole number"),
    ],
)
def test_what_does_not_cast_is_named(table: str, column: str, text: str | None, rule: str) -> None:
    row = type_one(table, **{column: text})
    assert row["_rejected"] == rule
    assert row[column] is None


def test_first_failing_column_is_named() -> None:
    row = type_one("mimic_iv__chartevents", subject_id="x", charttime="y")
    assert row["_rejected"] == "subject_id: not a whole number"


def test_notes_keep_their_blanks() -> None:
    names = CONTRACTS["mimic_iv_note__discharge"].column_names()
    frame = pl.LazyFrame({name: [" \n note \n "] for name in names}, schema=dict.fromkeys(names, pl.String))
    row = typed(frame, CONTRACTS["mimic_iv_note__discharge"]).collect().row(0, named=True)
    assert row["text"] == " \n note \n "
    assert row["note_type"] == " \n note"


@given(st.datetimes(datetime(1900, 1, 1), datetime(2299, 1, 1)))
def test_times_survive(time: datetime) -> None:
    texts = [time.strftime("%Y-%m-%d %H:%M:%S.%f"), time.strftime("%Y-%m-%d %H:%M:%S"), time.strftime("%Y-%m-%d")]
    parsed = pl.DataFrame({"text": texts}).select(parse_time(pl.col("text"))).to_series().to_list()
    assert parsed == [time, time.replace(microsecond=0), datetime(time.year, time.month, time.day)]
