"""Films that are searched or classified: labelled releases as films, and what is known of each image."""

from typing import Any

import pytest

CHEXPERT = {"split": "valid", "sex": "Female", "age": 50, "path": "v.jpg", "frontal_lateral": "Frontal"}


def labelled() -> dict[str, list[dict[str, Any]]]:
    """Two classes that are told apart and one that is not; a validation patient's two views and a training film."""
    covid = {"label": "COVID", "path": "c.png", "mask_path": "m.png"}
    view = {"patient_id": 64541, "study": 1, "enlarged_cardiomediastinum": 1}
    return {
        "covid19__images": [
            {"image_id": "COVID-1", "url": "https://www.Kaggle.com/some/set?id=1", **covid},
            {"image_id": "COVID-2", "url": "https://sirm.org/case/7", **covid},
            {"image_id": "Normal-1", "label": "Normal", "path": "n.png"},
            {"image_id": "Lung_Opacity-1", "label": "Lung_Opacity", "path": "o.png"},
        ],
        "chexpert__images": [
            {**CHEXPERT, **view, "image_id": "valid/a", "ap_pa": "AP"},
            {**CHEXPERT, **view, "image_id": "valid/b", "frontal_lateral": "Lateral", "age": 0},
            {**CHEXPERT, **view, "image_id": "valid/c", "path": None},
            {**CHEXPERT, **view, "image_id": "train/d", "split": "train"},
        ],
    }


@pytest.fixture
def with_labelled(planted_hospital):
    """The hospital, a stranger's film of MIMIC-CXR whom MIMIC-IV knows, and both labelled releases."""
    planted_hospital.fill(labelled())
    stranger = {"record_id": "00000000-00000000-00000000-00000000-00000009", "subject_id": 9, "study_id": 59}
    planted_hospital.set(first_id=910_000_000)
    planted_hospital.build("covid19_films", "records/covid19_films.sql")
    planted_hospital.set(first_id=920_000_000)
    planted_hospital.build("chexpert_films", "records/chexpert_films.sql")
    planted_hospital.set(first_id=900_000_000)
    planted_hospital.execute(
        "insert into mimic_cxr_films by name select 'cxr' as source, 'mimic_cxr' as database, "
        f"'{stranger['record_id']}' as record_id, 9 as subject_id, 59 as study_id, "
        "timestamp '2180-01-03' as record_time, 'LATERAL' as view_position, 'z.dcm' as path"
    )
    planted_hospital.fill(
        {
            "mimic_iv__patients": [
                {"subject_id": 9, "gender": "M", "anchor_age": 60, "anchor_year": 2178},
            ],
            "mimic_cxr_jpg__split": [
                {"dicom_id": stranger["record_id"], "subject_id": 9, "study_id": 59, "split": "test"}
            ],
        }
    )
    for table, file in (("cxr_records", ""), ("cohort_split", "links/cohort_split.sql")):
        planted_hospital.build(table, file)
    return planted_hospital


def test_labelled_releases_are_films_that_are_classified(with_labelled) -> None:
    cohorts = with_labelled.select("from cohort_split where source in ('covid19', 'chexpert') order by record_id")
    assert cohorts.select("record_id", "subject_id", "study_id", "split").rows() == [
        ("COVID-1", 910_000_001, 910_000_001, "zero_shot_covid19"),
        ("COVID-2", 910_000_002, 910_000_002, "zero_shot_covid19"),
        ("Normal-1", 910_000_003, 910_000_003, "zero_shot_covid19"),
        ("valid/a", 920_064_541, 926_454_101, "zero_shot_chexpert"),
        ("valid/b", 920_064_541, 926_454_101, "zero_shot_chexpert"),
    ]
    for check in ("one_cohort_per_subject", "retrieval_apart_from_ehr", "every_record_once", "mimic_iii_apart"):
        assert with_labelled.run(f"checks/cohort_split__{check}.sql").is_empty()


def test_what_is_known_of_each_film(with_labelled) -> None:
    films = with_labelled.build("evaluation_films", "labels/evaluation_films.sql")
    columns = ("view", "sex", "age_years", "age_group", "label", "origin", "official_split", "mask_path")
    assert dict(zip(films["record_id"], films.select(columns).rows(), strict=True)) == {
        "COVID-1": (None, None, None, None, True, "kaggle.com/some/set", None, "m.png"),
        "COVID-2": (None, None, None, None, True, "sirm.org", None, "m.png"),
        "Normal-1": (None, None, None, None, False, None, None, None),
        "valid/a": ("frontal", "F", 50, "45_to_64", True, None, None, None),
        "valid/b": ("lateral", "F", None, None, True, None, None, None),
        "00000000-00000000-00000000-00000000-00000009": ("lateral", "M", 62, "45_to_64", None, None, "test", None),
    }
    assert with_labelled.run("checks/evaluation_films__nobody_of_pretraining.sql").is_empty()


def test_groups_of_ages_hold_their_first_and_last_year(with_labelled) -> None:
    groups = {44: "under_45", 45: "45_to_64", 64: "45_to_64", 65: "65_to_79", 79: "65_to_79", 80: "80_and_over",
              130: "80_and_over", 131: None}  # fmt: skip
    found = {}
    for age in groups:
        with_labelled.execute(f"update chexpert__images set age = {age}")
        films = with_labelled.build("evaluation_films", "labels/evaluation_films.sql")
        found[age] = films.filter(record_id="valid/a")["age_group"].item()
    assert found == groups


def test_a_subject_of_pretraining_among_them_is_found(with_labelled) -> None:
    films = with_labelled.build("evaluation_films", "labels/evaluation_films.sql")
    with_labelled.execute("update cohort_split set split = 'pretrain' where record_id = 'COVID-2'")
    failing = with_labelled.run("checks/evaluation_films__nobody_of_pretraining.sql")
    assert failing["record_id"].to_list() == ["COVID-2"] and films.height == 6


def test_a_model_of_ours_that_saw_a_set_is_found(database) -> None:
    seen = {"exposure": "none_known", "is_contaminated": False, "seen": "-", "num_films": 5}
    rows = [
        {"method": "medcsp", "dataset": "open_i", "num_seen": 0, **seen},
        {"method": "medcsp", "dataset": "covid19", "num_seen": 2, **seen},
        {"method": "clip_small", "dataset": "covid19", "num_seen": None, **seen},
        {"method": "medclip", "dataset": "covid19", "num_seen": 2, **seen},
        {"method": "medcsp", "dataset": "mimic_cxr", "num_seen": 2, **seen, "is_contaminated": True},
    ]
    database.fill({"exposure": rows})
    failing = database.run("checks/exposure__ours_apart.sql")
    assert failing.select("method", "dataset").rows() == [("clip_small", "covid19"), ("medcsp", "covid19")]
