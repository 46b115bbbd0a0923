"""Open-I's reports and images as films beside those of MIMIC-CXR: ids, texts, cohorts, links and histories."""

from datetime import datetime
from typing import Any

import pytest

FIRST = 900_000_000
FILM = {"database": "open_i", "source": "open_i"}


def release(**sections: str) -> dict[str, list[dict[str, Any]]]:
    """Report 1 with a film of each view, report 2 with a film whose file is not there, report 3 without any text."""
    images = [(1, "CXR1_a", "a.png", "Frontal"), (1, "CXR1_b", "b.png", "Lateral"), (2, "CXR2_a", None, None)]
    return {
        "open_i__reports": [
            {"uid": 1, **(sections or {"findings": "Clear."})},
            {"uid": 2, "impression": "Normal."},
            {"uid": 3, "findings": "  ", "mesh": "normal"},
        ],
        "open_i__images": [
            *({"uid": u, "image_id": i, "path": path, "projection": view} for u, i, path, view in images),
            {"uid": 3, "image_id": "CXR3_a", "path": "c.png"},
        ],
    }


@pytest.mark.parametrize(
    ("sections", "text"),
    [
        ({"findings": " Clear. "}, "FINDINGS: Clear."),
        ({"impression": "Normal.", "comparison": ""}, "IMPRESSION: Normal."),
        (
            {"findings": "f\ng", "impression": "i", "comparison": "c", "indication": "n"},
            "INDICATION: n\nCOMPARISON: c\nFINDINGS: f\ng\nIMPRESSION: i",
        ),
    ],
)
def test_a_text_is_the_sections_under_their_headers(sections: dict[str, str], text: str, database) -> None:
    database.fill(release(**sections))
    texts = database.build("open_i_texts", "records/open_i_texts.sql")
    assert texts.rows() == [(FIRST + 1, FIRST + 1, text), (FIRST + 2, FIRST + 2, "IMPRESSION: Normal.")]


def test_a_film_is_an_image_that_is_there_with_a_report_that_says_something(database) -> None:
    database.fill(release())
    database.build("open_i_texts", "records/open_i_texts.sql")
    films = database.build("open_i_films", "records/open_i_films.sql")
    assert films.drop("record_time").rows() == [
        ("open_i", "open_i", "CXR1_a", FIRST + 1, FIRST + 1, "Frontal", "a.png"),
        ("open_i", "open_i", "CXR1_b", FIRST + 1, FIRST + 1, "Lateral", "b.png"),
    ]
    assert films["record_time"].to_list() == [None, None]
    left_out = database.run("checks/warnings/open_i_films__images_left_out.sql")
    assert left_out.rows() == [("CXR2_a", 2, True), ("CXR3_a", 3, False)]


def test_without_the_release_the_tables_are_those_of_mimic(planted_hospital) -> None:
    assert planted_hospital.select("from open_i_films").is_empty()
    assert planted_hospital.select("from cxr_records").equals(planted_hospital.select("from mimic_cxr_films"))
    assert set(planted_hospital.select("from cohort_split")["source"]) == {"ehr", "cxr"}


@pytest.fixture
def with_open_i(planted_hospital):
    """The hospital, a stranger's film of MIMIC-CXR, and two films of one study of Open-I."""
    films = [
        {"record_id": "00000000-00000000-00000000-00000000-00000009", "subject_id": 9, "study_id": 59, "path": "z.dcm"}
    ]
    films[0]["record_time"] = datetime(2180, 1, 3)
    ours = {**FILM, "subject_id": FIRST + 1, "study_id": FIRST + 1, "path": "a.png"}
    planted_hospital.fill(
        {"cxr_records": [*films, *({**ours, "record_id": name} for name in ("CXR1_a", "CXR1_b"))]}
        | {"open_i__reports": release()["open_i__reports"]}
    )
    return planted_hospital


@pytest.mark.parametrize(
    ("shared", "own", "expected"),
    [
        (["ehr", "cxr"], [], {"cxr": "unused", "open_i": "retrieval_open_i"}),
        (["ehr", "cxr"], ["open_i"], {"cxr": "unused", "open_i": "pretrain"}),
        (["ehr"], ["open_i"], {"cxr": "retrieval_mimic_cxr", "open_i": "pretrain"}),
        (["ehr", "open_i"], [], {"cxr": "retrieval_mimic_cxr", "open_i": "unused"}),
    ],
)
def test_films_of_strangers_stand_as_their_source_is_declared(shared, own, expected, with_open_i) -> None:
    with_open_i.set(shared_sources=shared, own_sources=own, retrieval_share=0.0)
    cohorts = with_open_i.build("cohort_split", "links/cohort_split.sql")
    found = dict(cohorts.select("source", "split").unique().iter_rows())
    with_open_i.set(retrieval_share=1.0, shared_sources=["ehr", "cxr"], own_sources=[])
    assert found == {"ehr": "pretrain", **expected}
    for check in ("one_cohort_per_subject", "retrieval_apart_from_ehr", "every_record_once", "mimic_iii_apart"):
        assert with_open_i.run(f"checks/cohort_split__{check}.sql").is_empty()


@pytest.mark.parametrize("history", ["to_date", "all", "prior"])
def test_who_has_no_dates_and_no_admissions_has_no_history(history: str, with_open_i) -> None:
    with_open_i.set(history=history)
    histories = with_open_i.build("diagnosis_histories", "links/diagnosis_histories.sql")
    with_open_i.set(history="to_date")
    assert histories.filter(source="open_i").select("record_id", "num_codes").rows() == [("CXR1_a", 0), ("CXR1_b", 0)]
    assert with_open_i.run("checks/diagnosis_histories__every_record.sql").is_empty()


@pytest.mark.parametrize("gap_from", ["interval", "record_time"])
def test_a_film_without_a_time_is_linked_to_nothing(gap_from: str, with_open_i) -> None:
    """Even were its patient an EHR patient: the largest of no numbers and 0 would be 0 days."""
    admission = with_open_i.select("from ehr_records")["subject_id"][0]
    with_open_i.execute(f"update cxr_records set subject_id = {admission} where source = 'open_i'")
    with_open_i.set(gap_from=gap_from)
    pairs = with_open_i.build("same_patient_pairs", "links/same_patient_pairs.sql")
    with_open_i.set(gap_from="interval")
    assert pairs.is_empty()
