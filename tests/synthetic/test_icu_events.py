"""Infusions, procedures, outputs, dates, cultures and radiology notes of MIMIC-IV: planted, timed and known as real."""

import re
from pathlib import Path

import polars as pl
import pytest

from pipelines.sources import SOURCES
from pipelines.sources.release_detection import detect_release
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


def test_some_summaries_quote_the_report_of_a_film_of_their_admission(raw: Path, read) -> None:
    studies = read("mimic-cxr/cxr-study-list.csv.gz")
    runs = {
        study: _runs((raw / "mimic-cxr" / path).read_text())
        for study, path in studies.select("study_id", "path").iter_rows()
    }
    films = read("truth/studies.parquet").select("time", study=pl.col("study_id").cast(pl.String), subject="subject_id")
    admissions = read("truth/admissions.parquet").select(
        "admittime", "dischtime", hadm=pl.col("hadm_id").cast(pl.String), subject="subject_id"
    )
    pairs = films.join(admissions, on="subject")
    pairs = pairs.with_columns(inside=pl.col("time").is_between("admittime", "dischtime"))
    notes = dict(read("mimic-iv-note/note/discharge.csv.gz").select("hadm_id", "text").iter_rows())
    quoting = set()
    for hadm, study, inside in pairs.filter(pl.col("hadm").is_in(list(notes))).select("hadm", "study", "inside").rows():
        if shared := _runs(notes[hadm]) & runs[study]:
            assert inside, "a summary quotes a film from outside its admission"
            assert len(shared) > 5
            quoting.add(hadm)
    filmed = set(pairs.filter("inside")["hadm"]) & set(notes)
    assert 2 <= len(quoting) <= 0.8 * len(filmed), (len(quoting), len(filmed))
    assert quoting == {hadm for hadm, text in notes.items() if "Pertinent Results:" in text}


def _runs(text: str) -> set[tuple[str, ...]]:
    """Runs of eight words."""
    words = re.findall("[a-z0-9_]+", text.lower())
    return set(zip(*(words[start:] for start in range(8)), strict=False))


def test_oxygen_is_charted_in_the_first_two_days_whether_or_not_ventilation_comes_later(read) -> None:
    times = read("mimic-iv/icu/icustays.csv.gz").select("stay_id", intime=pl.col("intime").str.to_datetime())
    charted = read("mimic-iv/icu/chartevents.csv.gz").join(times, on="stay_id")
    charted = charted.with_columns(pl.col("charttime").str.to_datetime())
    two_days = pl.col("intime") + pl.duration(hours=48)
    first = charted.filter(pl.col("itemid") == "220339").group_by("stay_id").agg(peep=pl.col("charttime").min())
    stays = charted.select("stay_id", "intime").unique().join(first, on="stay_id", how="left")
    never, late = stays.filter(pl.col("peep").is_null()), stays.filter(pl.col("peep") >= two_days)
    early = charted.filter(pl.col("itemid") == "223835", pl.col("charttime") < two_days)["stay_id"].unique()
    assert len(late) >= 5, "too few stays are ventilated late"
    for group in (never, late):
        assert group["stay_id"].is_in(early.implode()).mean() > 0.9


def test_releases_2_2_and_3_1_are_told_from_their_trees(raw: Path, other: Path) -> None:
    hosp, icu = other / "mimic-iv/hosp", other / "mimic-iv/icu"
    assert "2020 - 2022" in set(pl.read_csv(hosp / "patients.csv.gz")["anchor_year_group"])
    admissions = pl.read_csv(hosp / "admissions.csv.gz")
    assert "English" in set(admissions["language"]) and "ENGLISH" not in set(admissions["language"])
    assert pl.read_csv(icu / "procedureevents.csv.gz").columns[-2:] == ["originalamount", "originalrate"]
    assert [detect_release(SOURCES["mimic_iv"], root / "mimic-iv") for root in (raw, other)] == ["2.2", "3.1"]


def test_release_3_0_differs_from_3_1_in_the_items_of_some_results_alone(tmp_path: Path) -> None:
    trees = {}
    for name, release in (("one", "3.0"), ("two", "3.1")):
        settings = SyntheticSettings(
            num_ehr_subjects=6, num_linked_subjects=0, num_cxr_only_subjects=0, mimic_iv_release=release,
            sources=("mimic_iv",),
        )  # fmt: skip
        write_sources(tmp_path / name, settings=settings)
        trees[release] = tmp_path / name / "mimic-iv"
        assert detect_release(SOURCES["mimic_iv"], trees[release]) == release
    one, two = trees["3.0"], trees["3.1"]
    files = [path.relative_to(one) for path in one.rglob("*.csv.gz")]
    differing = {path.name for path in files if (one / path).read_bytes() != (two / path).read_bytes()}
    assert differing == {"labevents.csv.gz", "d_labitems.csv.gz"}
    for name in differing:
        mistaken, right = (pl.read_csv(root / "hosp" / name, infer_schema=False) for root in (one, two))
        assert "53132" in right["itemid"] and "53152" not in right["itemid"]
        assert mistaken.with_columns(pl.col("itemid").replace("53152", "53132")).equals(right)
