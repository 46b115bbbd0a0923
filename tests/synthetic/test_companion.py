"""Synthetic X-rays beside a real MIMIC-IV tree."""

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.synthetic import SyntheticSettings, write_companion
from pipelines.synthetic.__main__ import main
from pipelines.synthetic.companion import read_cohort
from pipelines.synthetic.conditions import CONDITIONS

SMALL = SyntheticSettings(num_cxr_only_subjects=8, image_size=64)
HOSP = {
    "patients": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n"
    "11,F,70,2150,2011 - 2013,2150-03-20\n12,M,40,2150,2011 - 2013,\n13,M,50,2150,2011 - 2013,\n",
    "admissions": "subject_id,hadm_id,admittime,dischtime,hospital_expire_flag\n"
    "11,21,2150-01-01 10:00:00,2150-01-09 10:00:00,0\n11,22,2150-03-01 10:00:00,2150-03-09 10:00:00,0\n"
    "12,23,2150-05-01 10:00:00,2150-05-03 10:00:00,0\n13,24,2150-05-01 10:00:00,,0\n",
    "diagnoses_icd": "subject_id,hadm_id,seq_num,icd_code,icd_version\n"
    "11,21,1,42823 ,9\n11,21,9,25000,9\n11,22,4,I509,10\n12,23,1,E8782,9\n12,23,2,4019,9\n",
    "labevents": "labevent_id,subject_id,itemid,valuenum\n1,11,51222,8.5\n2,11,51222,9.5\n3,12,51222,14\n4,12,50971,\n",
}


def _tree(folder: Path, **changed: str) -> Path:
    for table, text in (HOSP | changed).items():
        path = folder / "hosp" / f"{table}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "wt") as file:
            file.write(text)
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return _tree(tmp_path / "tree")


def test_conditions_follow_the_codes_of_both_systems(tree: Path) -> None:
    subjects, admissions = read_cohort(tree, settings=SMALL)
    assert subjects.subject_id.tolist() == [11, 12]  # 13 has no whole admission
    assert admissions.hadm_id.tolist() == [21, 22, 23]
    carried = dict(zip(CONDITIONS, subjects.carried[0], strict=True))
    assert {name for name, much in carried.items() if much > 0} == {"heart_failure", "diabetes"}
    assert carried["heart_failure"] > carried["diabetes"]  # first of all codes, against the ninth
    assert not subjects.carried[1].any()
    heart = CONDITIONS.index("heart_failure")
    assert admissions.acute[0, heart] == 1 and 0 < admissions.acute[1, heart] < 1


def test_an_unpacked_tree_is_read_too(tree: Path) -> None:
    packed, _ = read_cohort(tree, settings=SMALL)
    for path in (tree / "hosp").iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    unpacked, _ = read_cohort(tree, settings=SMALL)
    assert np.array_equal(packed.signature, unpacked.signature)


def test_the_signature_follows_age_and_laboratory_means(tree: Path) -> None:
    subjects, _ = read_cohort(tree, settings=SMALL)
    aorta, hemoglobin = subjects.signature[:, 2], subjects.signature[:, 5]
    assert aorta[0] - aorta[1] > 0.3 and hemoglobin[1] - hemoglobin[0] > 0.3


def test_nobody_is_filmed_after_a_death_soon_after_discharge(tree: Path) -> None:
    _, admissions = read_cohort(tree, settings=SMALL)
    assert admissions.died.tolist() == [False, True, False]


@pytest.mark.parametrize(
    "table, text, message",
    [
        ("patients", "subject_id,gender\n", "patients.csv.gz has no column anchor_age"),
        ("admissions", HOSP["admissions"].splitlines()[0] + "\n", "no admission"),
    ],
)
def test_an_unfit_tree_is_named(tree: Path, tmp_path: Path, table: str, text: str, message: str) -> None:
    _tree(tree, **{table: text})
    with pytest.raises(ValueError, match=message):
        write_companion(tmp_path / "raw", mimic_iv=tree, settings=SMALL)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("table", "value", "message"), [("labevents", "8.5", "1 of valuenum"), ("patients", "70", "1 of anchor_age")]
)
def test_values_of_another_type_are_counted_and_not_said(
    tree: Path, tmp_path: Path, table: str, value: str, message: str
) -> None:
    other = _tree(tmp_path / "other", **{table: HOSP[table].replace(f",{value}", ",secret", 1)})
    with pytest.raises(ValueError, match=rf"{table}\.csv\.gz: values .*: {message}$") as caught:
        read_cohort(other, settings=SMALL)
    assert "secret" not in str(caught.value) and caught.value.__suppress_context__


def test_a_missing_table_is_named(tree: Path, tmp_path: Path) -> None:
    shutil.rmtree(tree / "hosp")
    with pytest.raises(ValueError, match=r"patients.csv.gz does not exist: name the folder"):
        write_companion(tmp_path / "raw", mimic_iv=tree, settings=SMALL)


def test_the_command_line_tells_the_reason_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    arguments = ["synthetic", "--home", str(tmp_path), "--mimic-iv", str(tmp_path / "nowhere")]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.skipif("MEDCSP_TEST_DATA" not in os.environ, reason="MEDCSP_TEST_DATA names the open data folder")
def test_the_real_demo_gets_studies_around_its_admissions(tmp_path: Path) -> None:
    real = Path(os.environ["MEDCSP_TEST_DATA"]) / "mimic-iv-demo-25pt"
    write_companion(tmp_path / "raw", mimic_iv=real, settings=SMALL)
    admissions = pl.read_csv(real / "hosp/admissions.csv.gz", try_parse_dates=True)
    images = pl.read_csv(tmp_path / "raw/mimic-cxr/cxr-record-list.csv.gz")
    ours = images.filter(pl.col("subject_id").is_in(admissions["subject_id"].unique().implode()))
    per_subject = ours.group_by("subject_id").len()["len"]
    assert len(per_subject) == 25 and per_subject.mean() >= 8 and per_subject.min() >= 5
    assert images["subject_id"].n_unique() == 25 + 8
    films = pl.read_parquet(tmp_path / "raw/truth/studies.parquet")
    gap = (
        films.join(admissions, on="subject_id")
        .with_columns(
            before=(pl.col("admittime") - pl.col("time")).dt.total_seconds() / 86_400,
            after=(pl.col("time") - pl.col("dischtime")).dt.total_seconds() / 86_400,
        )
        .group_by("study_id")
        .agg(gap=pl.max_horizontal("before", "after", 0).min())["gap"]
    )
    inside, near, far = (gap == 0).mean(), ((gap > 0) & (gap <= 30)).mean(), (gap > 30).mean()
    assert inside > 0.3 and near > 0.1 and far > 0.1
    heart = films.join(pl.read_parquet(tmp_path / "raw/truth/subjects.parquet"), on="subject_id").filter("has_ehr")
    corr = np.corrcoef(heart["edema"], heart["carried_heart_failure"])[0, 1]
    assert corr > 0.4
