"""What makes real data hard is in the synthetic data too."""

import gzip
from pathlib import Path

import polars as pl
import pytest


def _stays(read) -> pl.DataFrame:
    times = pl.col("intime", "outtime").str.to_datetime()
    return read("mimic-iv/icu/icustays.csv.gz").with_columns(times)


def test_a_patient_has_no_codes(read, quirk) -> None:
    hadm_id = str(quirk("admission_without_codes")["hadm_id"][0])
    assert hadm_id in set(read("mimic-iv/hosp/admissions.csv.gz")["hadm_id"])
    assert hadm_id not in set(read("mimic-iv/hosp/diagnoses_icd.csv.gz")["hadm_id"])


def test_both_code_systems_occur_and_some_codes_have_trailing_blanks(read) -> None:
    codes = read("mimic-iv/hosp/diagnoses_icd.csv.gz")
    assert set(codes["icd_version"]) == {"9", "10"}
    blank = codes.filter(pl.col("icd_code").str.ends_with(" "))
    assert 0 < len(blank) < len(codes) / 4
    titles = read("mimic-iv/hosp/d_icd_diagnoses.csv.gz").select("icd_code", "icd_version")
    known = codes.with_columns(pl.col("icd_code").str.strip_chars_end())
    assert known.join(titles, on=["icd_code", "icd_version"], how="anti").is_empty()


def test_a_stay_has_no_readings(read, quirk) -> None:
    stay_id = str(quirk("stay_without_readings")["stay_id"][0])
    assert stay_id in set(read("mimic-iv/icu/icustays.csv.gz")["stay_id"])
    assert stay_id not in set(read("mimic-iv/icu/chartevents.csv.gz")["stay_id"])


def test_admissions_have_none_to_four_stays(read, quirk) -> None:
    per_admission = read("mimic-iv/icu/icustays.csv.gz").group_by("hadm_id").len()
    four = per_admission.filter(pl.col("len") == 4)["hadm_id"].to_list()
    assert str(quirk("four_stays")["hadm_id"][0]) in four
    assert len(per_admission) < len(read("mimic-iv/hosp/admissions.csv.gz"))


@pytest.mark.parametrize("word, seconds", [("before", -1), ("at", 0), ("after", 1)])
def test_onsets_lie_one_second_around_48_hours(read, quirk, word: str, seconds: int) -> None:
    stays = _stays(read)
    charted = read("mimic-iv/icu/chartevents.csv.gz").filter(pl.col("itemid") == "220339")
    ran = pl.col("statusdescription") != "Rewritten"
    procedures = read("mimic-iv/icu/procedureevents.csv.gz").filter(ran)
    pressors = pl.col("itemid").is_in(["221906", "221749", "222315", "221289"])
    for name, table, column in (
        ("peep", charted, "charttime"),
        ("invasive", procedures.filter(pl.col("itemid") == "225792"), "starttime"),
        ("noninvasive", procedures.filter(pl.col("itemid") == "225794"), "starttime"),
        ("pressor", read("mimic-iv/icu/inputevents.csv.gz").filter(ran & pressors), "starttime"),
    ):
        stay_id = str(quirk(f"{name}_onset_{word}_48h")["stay_id"][0])
        first = table.filter(pl.col("stay_id") == stay_id)[column].str.to_datetime().min()
        stay = stays.row(by_predicate=pl.col("stay_id") == stay_id, named=True)
        assert (first - stay["intime"]).total_seconds() == 48 * 3600 + seconds, name
        assert stay["outtime"] > first


def test_patients_die_after_discharge_and_in_hospital(read, quirk) -> None:
    patients = read("mimic-iv/hosp/patients.csv.gz").with_columns(pl.col("dod").str.to_date())
    last = (
        read("mimic-iv/hosp/admissions.csv.gz")
        .with_columns(pl.col("dischtime").str.to_datetime())
        .group_by("subject_id")
        .agg(pl.col("dischtime").max(), pl.col("hospital_expire_flag").max())
    )
    both = patients.join(last, on="subject_id").with_columns(left=pl.col("dischtime").dt.date())
    later = set(map(str, quirk("death_after_discharge")["subject_id"]))
    assert set(both.filter(pl.col("dod") > pl.col("left"))["subject_id"]) == later
    inside = both.filter(pl.col("hospital_expire_flag") == "1")
    assert len(inside) and (inside["dod"] == inside["left"]).all()


def test_nobody_is_filmed_or_admitted_after_death(read) -> None:
    dod = read("mimic-iv/hosp/patients.csv.gz").drop_nulls("dod").select("subject_id", pl.col("dod").str.to_date())
    films = read("truth/studies.parquet").select(pl.col("subject_id").cast(pl.String), pl.col("time").dt.date())
    assert films.join(dod, on="subject_id").filter(pl.col("time") > pl.col("dod")).is_empty()


def test_a_specimen_of_the_first_48_hours_is_known_only_later(read, quirk) -> None:
    hadm_id = str(quirk("result_after_48h_of_a_specimen_before")["hadm_id"][0])
    labs = read("mimic-iv/hosp/labevents.csv.gz").with_columns(pl.col("charttime", "storetime").str.to_datetime())
    stays = _stays(read).filter(pl.col("hadm_id") == hadm_id)
    late = labs.join(stays.select("subject_id", "intime"), on="subject_id").filter(
        (pl.col("charttime") < pl.col("intime") + pl.duration(hours=48))
        & (pl.col("charttime") > pl.col("intime"))
        & (pl.col("storetime") > pl.col("intime") + pl.duration(hours=48))
    )
    assert len(late)


def test_some_readings_stand_there_twice(read) -> None:
    charted = read("mimic-iv/icu/chartevents.csv.gz")
    twice = charted.is_duplicated().sum()
    assert 0 < twice < len(charted) / 50


def test_charted_values_are_numbers_and_words_in_two_temperature_units(read) -> None:
    charted = read("mimic-iv/icu/chartevents.csv.gz")
    words = charted.filter(pl.col("itemid") == "220048")
    assert words["valuenum"].null_count() == len(words) and words["value"].str.contains("Rhythm|Fibrillation").all()
    eyes = charted.filter(pl.col("itemid") == "220739")
    assert set(eyes["value"]) <= {"To Pain", "To Speech", "Spontaneously"} and set(eyes["valuenum"]) <= {"2", "3", "4"}
    means = {
        item: charted.filter(pl.col("itemid") == item)["valuenum"].cast(pl.Float64).mean()
        for item in ("223761", "223762")
    }
    assert 97 < means["223761"] < 101 and 36 < means["223762"] < 39


def test_empty_strings_differ_from_missing_values(raw: Path) -> None:
    with gzip.open(raw / "mimic-iv/hosp/prescriptions.csv.gz", "rt") as lines:
        text = lines.read()
    assert ',BASE,"",' in text
    assert ",,," not in text.splitlines()[0] and ",," in text


def test_a_result_is_masked_but_its_number_stays(read) -> None:
    masked = read("mimic-iv/hosp/labevents.csv.gz").filter(pl.col("value") == "___")
    assert len(masked) and masked["valuenum"].null_count() == 0 and masked["comments"].str.contains(",").all()


def test_some_reports_lack_sections_and_studies_have_siblings(raw: Path, read, quirk) -> None:
    studies = read("mimic-cxr/cxr-study-list.csv.gz")
    path = dict(zip(studies["study_id"], studies["path"], strict=True))
    for section in ("findings", "impression"):
        planted = set(map(str, quirk(f"report_without_{section}")["study_id"]))
        missing = {
            study
            for study, file in path.items()
            if f"\n {section.upper()}:" not in (raw / "mimic-cxr" / file).read_text()
        }
        assert planted == missing
    images = read("mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz")
    assert images.group_by("study_id").len()["len"].max() >= 2
    assert set(images["ViewPosition"]) == {"AP", "PA", "LATERAL"}


def test_studies_lie_inside_and_outside_the_window_and_some_subjects_have_no_ehr(read) -> None:
    admissions = read("mimic-iv/hosp/admissions.csv.gz").select(
        pl.col("subject_id").cast(pl.Int64), pl.col("admittime", "dischtime").str.to_datetime()
    )
    films = read("truth/studies.parquet").select("study_id", "subject_id", "time")
    near = films.join(admissions, on="subject_id").with_columns(
        before=(pl.col("admittime") - pl.col("time")).dt.total_seconds() / 86_400,
        after=(pl.col("time") - pl.col("dischtime")).dt.total_seconds() / 86_400,
    )
    gap = near.group_by("study_id").agg(gap=pl.max_horizontal("before", "after", 0).min())["gap"]
    assert (gap == 0).any() and ((gap > 0) & (gap <= 30)).any() and (gap > 30).any()
    assert set(films["subject_id"]) - set(admissions["subject_id"])
