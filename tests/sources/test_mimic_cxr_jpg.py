"""Times of MIMIC-CXR-JPG's metadata: numbers without leading zeros become exact timestamps."""

from datetime import datetime, time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources import TABLES
from pipelines.sources.mimic_cxr_jpg import study_time

HEADER = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)
DICOM_ID = "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014"


def parse(date: str | None, clock: str | None) -> datetime | None:
    frame = pl.DataFrame({"date": [date], "clock": [clock]}, schema={"date": pl.String, "clock": pl.String})
    return frame.select(study_time(pl.col("date"), pl.col("clock"))).item()


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("213014.531", time(21, 30, 14, 531000)),
        ("80556.875", time(8, 5, 56, 875000)),
        ("12.5", time(0, 0, 12, 500000)),
        ("0.0", time(0, 0)),
        ("5", time(0, 0, 5)),
        ("120000", time(12, 0)),
        ("235959.999999", time(23, 59, 59, 999999)),
        ("120060", time(12, 1)),  # DICOM allows the leap second
    ],
)
def test_leading_zeros_and_fractions(clock: str, expected: time) -> None:
    assert parse("21800506", clock) == datetime.combine(datetime(2180, 5, 6), expected)


@pytest.mark.parametrize("clock", [None, "240000", "126100", "126000", "-5", "1e5", "noon", "1234567"])
def test_impossible_times_are_null(clock: str | None) -> None:
    assert parse("21800506", clock) is None


@pytest.mark.parametrize("date", [None, "21801301", "2180-05-06", "218005"])
def test_impossible_dates_are_null(date: str | None) -> None:
    assert parse(date, "120000") is None


@given(st.datetimes(datetime(2090, 1, 1), datetime(2230, 1, 1)))
def test_every_time_survives_the_loss_of_its_zeros(when: datetime) -> None:
    clock = f"{int(when.strftime('%H%M%S'))}.{when.microsecond:06d}".rstrip("0")
    assert parse(when.strftime("%Y%m%d"), clock) == when


def test_metadata_row(write, tmp_path: Path, rejected) -> None:
    lines = [
        f'{DICOM_ID},10000032,50414267,"CHEST (PA AND LAT)",,3056,2544,21800506,213014.531,"x, y",z,Erect',
        f"{DICOM_ID},10000032,50414267,CHEST,PA,3056,2544,21800506,,x,z,Erect",
    ]
    write("mimic-cxr-2.0.0-metadata.csv.gz", HEADER, lines)
    frame = TABLES["mimic_cxr_jpg__metadata"].read(tmp_path)
    row = frame.collect().row(0, named=True)
    assert row["study_time"] == datetime(2180, 5, 6, 21, 30, 14, 531000)
    assert (row["view_position"], row["height_pixels"], row["width_pixels"]) == (None, 3056, 2544)
    assert rejected(frame) == {"study_time: not a timestamp": 1}
