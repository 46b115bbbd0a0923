"""Infusions, procedures, outputs, dates, cultures and radiology notes of MIMIC-IV: planted, timed and known as real."""

from pathlib import Path

import polars as pl
import pytest

from pipelines.synthetic import SyntheticSettings, write_sources

PRESSORS = ("221906", "221749", "222315", "221289")


@pytest.fixture(scope="module")
def events(read):
    """Read a table below mimic-iv/, times as times and numbers of measures as numbers."""

    def read_events(path: str) -> pl.DataFrame:
        rows = read(f"mimic-iv/{path}.csv.gz")
        times = [name for name in rows.columns if name.endswith("time")]
        numbers = [
            name for name in ("value", "amount", "rate") if name in rows.columns and path != "icu/datetimeevents"
        ]
        return rows.with_columns(pl.col(times).str.to_datetime(), pl.col(numbers).cast(pl.Float64))

    return read_events


def _of_condition(read, name: str) -> pl.DataFrame:
    admissions = read("truth/admissions.parquet").filter("written")
    return admissions.select(pl.col("hadm_id").cast(pl.String), severity=name)


def test_every_item_has_its_entry_for_its_table(events, read) -> None:
    known = read("mimic-iv/icu/d_items.csv.gz")
    for table in ("chartevents", "inputevents", "outputevents", "procedureevents", "datetimeevents"):
        items = set(read(f"mimic-iv/icu/{table}.csv.gz")["itemid"])
        assert items <= set(known.filter(pl.col("linksto") == table)["itemid"]), table


def test_rewritten_rows_stand_before_the_row_that_ran(events) -> None:
    for table in ("inputevents", "procedureevents"):
        rows = events(f"icu/{table}")
        rewritten = rows.filter(pl.col("statusdescription") == "Rewritten")
        ran = rows.filter(pl.col("statusdescription") == "FinishedRunning")
        assert len(rewritten) + len(ran) == len(rows)
        if table == "inputevents":
            assert len(rewritten) and set(rewritten["itemid"]) <= set(PRESSORS)
        first = ran.group_by("stay_id", "itemid").agg(pl.col("starttime").min().alias("first"))
        pairs = rewritten.join(first, on=["stay_id", "itemid"])
        assert len(pairs) == len(rewritten) and (pairs["starttime"] < pairs["first"]).all()


def test_infusions_have_rate_and_units_and_pushes_have_neither_rate_nor_length(events) -> None:
    rows = events("icu/inputevents")
    rated = rows.filter(pl.col("rate").is_not_null())
    assert rated["rateuom"].null_count() == 0 and (rated["rate"] > 0).all()
    assert rows.filter(pl.col("itemid") == "222315")["amountuom"].is_in(["units"]).all()
    pushed = rows.filter(pl.col("rate").is_null())
    assert len(pushed) and ((pushed["endtime"] - pushed["starttime"]).dt.total_seconds() == 60).all()
    assert (rows["storetime"] > rows["starttime"]).all()


def test_a_procedures_value_is_its_length_and_known_after_its_end(events) -> None:
    rows = events("icu/procedureevents")
    long = rows.filter(pl.col("valueuom") == "min")
    minutes = (long["endtime"] - long["starttime"]).dt.total_minutes()
    assert (long["value"].cast(pl.Int64) == minutes).all() and (long["storetime"] > long["endtime"]).all()
    assert set(rows["valueuom"]) == {"min", "None"}


def test_urine_falls_with_disease_of_the_kidneys(events, read) -> None:
    rows = events("icu/outputevents").join(_of_condition(read, "kidney_disease"), on="hadm_id")
    severity = pl.col("severity")
    well, ill = (rows.filter(condition)["value"].mean() for condition in (severity == 0, severity > 0.5))
    assert well > ill + 30
    assert (rows["value"] >= 0).all()


def test_a_line_is_dated_only_once_it_is_in(events) -> None:
    rows = events("icu/datetimeevents").filter(pl.col("itemid") == "224288")
    pressors = events("icu/inputevents").filter(
        pl.col("itemid").is_in(PRESSORS), pl.col("statusdescription") != "Rewritten"
    )
    first = pressors.group_by("stay_id").agg(pl.col("starttime").min())
    dated = rows.join(first, on="stay_id")
    assert len(dated) == len(rows) > 0 and (dated["charttime"] > dated["starttime"]).all()


def test_organisms_are_known_days_after_the_specimen_and_some_specimens_have_no_time(events, read) -> None:
    cultures = events("hosp/microbiologyevents")
    timed = cultures.drop_nulls("charttime")
    days = (timed["storetime"] - timed["charttime"]).dt.total_hours() / 24
    assert 0 < len(timed) < len(cultures) and days.is_between(1, 6).all()
    grown = cultures.filter(pl.col("org_name").is_not_null())
    assert len(grown) and cultures.filter(pl.col("org_name").is_null())["comments"].str.starts_with("NO GROWTH").all()
    assert set(grown["interpretation"]) <= {"S", "R", None}
    assert cultures["dilution_comparison"].drop_nulls().str.ends_with(" ").all()
    assert cultures["hadm_id"].null_count()
    one = cultures.drop_nulls("hadm_id").group_by("hadm_id").agg(grew=pl.col("org_name").is_not_null().any())
    one = one.join(_of_condition(read, "sepsis"), on="hadm_id")
    severity = pl.col("severity")
    septic, rest = (one.filter(condition)["grew"].mean() for condition in (severity > 0.4, severity == 0))
    assert septic > rest


def test_procedures_are_coded_in_the_admissions_system(read) -> None:
    codes = read("mimic-iv/hosp/procedures_icd.csv.gz")
    titles = read("mimic-iv/hosp/d_icd_procedures.csv.gz")
    assert set(codes["icd_version"]) == {"9", "10"}
    assert codes.join(titles, on=["icd_code", "icd_version"], how="anti").is_empty()
    versions = read("mimic-iv/hosp/diagnoses_icd.csv.gz").select("hadm_id", other="icd_version").unique()
    assert codes.join(versions, on="hadm_id").filter(pl.col("icd_version") != pl.col("other")).is_empty()
    assert codes.select("hadm_id", "seq_num").is_unique().all()


def test_a_chest_report_of_the_notes_is_the_films_own_text(raw: Path, read) -> None:
    notes = read("mimic-iv-note/note/radiology.csv.gz")
    detail = read("mimic-iv-note/note/radiology_detail.csv.gz").filter(pl.col("field_name") == "exam_name")
    assert notes["note_id"].is_unique().all() and notes["note_id"].str.contains(r"^1\d{7}-RR-\d+$").all()
    exams = notes.join(detail.select("note_id", exam="field_value"), on="note_id")
    assert len(exams) == len(notes)
    chest = exams.filter(pl.col("exam").str.starts_with("CHEST"))
    patients = read("mimic-iv/hosp/patients.csv.gz")["subject_id"]
    listed = read("mimic-cxr/cxr-study-list.csv.gz").filter(pl.col("subject_id").is_in(patients.implode()))
    texts = {(raw / "mimic-cxr" / path).read_text() for path in listed["path"]}
    assert set(chest["text"]) == texts and len(chest) == len(listed)
    assert 0 < chest["hadm_id"].null_count() < len(chest)
    others = exams.filter(~pl.col("exam").str.starts_with("CHEST"))
    assert len(others) and others["hadm_id"].null_count() == 0


@pytest.mark.parametrize("release", ["3.0", "3.1"])
def test_later_releases_have_their_years_languages_and_headers(tmp_path: Path, release: str) -> None:
    settings = SyntheticSettings(
        num_ehr_subjects=30,
        num_linked_subjects=0,
        num_cxr_only_subjects=0,
        mimic_iv_release=release,
        sources=("mimic_iv",),
    )
    write_sources(tmp_path / "raw", settings=settings)
    hosp, icu = tmp_path / "raw/mimic-iv/hosp", tmp_path / "raw/mimic-iv/icu"
    assert "2020 - 2022" in set(pl.read_csv(hosp / "patients.csv.gz")["anchor_year_group"])
    admissions = pl.read_csv(hosp / "admissions.csv.gz")
    assert "English" in set(admissions["language"]) and "ENGLISH" not in set(admissions["language"])
    assert pl.read_csv(icu / "procedureevents.csv.gz").columns[-2:] == ["originalamount", "originalrate"]
