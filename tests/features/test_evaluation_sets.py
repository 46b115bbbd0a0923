"""What lies beside the corpus of an evaluation set: texts, groups, masks, and how much a model has seen of it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_contracts import CONTRACTS
from medcsp_model.corpus import CorpusError, Films, write_films
from pipelines.features.evaluation_sets import add_films, study_facts
from pipelines.features.exposure import exposure_of

SIZE = 16


def rows(table: str, *given: dict[str, object]) -> pl.DataFrame:
    columns = CONTRACTS[table].columns()
    return pl.DataFrame(
        [pl.Series(name, [row.get(name) for row in given], dtype=column.dtype) for name, column in columns.items()]
    )


def film(record: str, study: int, **values: object) -> dict[str, object]:
    known = {"source": "cxr", "record_id": record, "subject_id": study, "study_id": study, "path": f"{record}.png"}
    return {**known, "split": "retrieval_mimic_cxr", **values}


FILMS = (film("b", 7, view="frontal", sex="F", mask_path="left.png"), film("a", 8, mask_path="none.png", label=True))
REPORTS = (
    {"source": "cxr", "study_id": 7, "text": " EXAMINATION: film\n FINDINGS: Clear.\n IMPRESSION: Normal."},
    {"source": "cxr", "study_id": 8, "text": "all is well"},
    {"source": "cxr", "study_id": 9, "text": "of another study"},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from PIL import Image

    left = np.zeros((2 * SIZE, 2 * SIZE), dtype=np.uint8)
    left[:, :SIZE] = 255
    Image.fromarray(left).save(tmp_path / "left.png")
    return tmp_path


def add(folder: Path, *films: dict[str, object]) -> tuple[pl.DataFrame, list[str]]:
    said: list[str] = []
    contents = add_films(
        folder,
        films=rows("evaluation_films", *films),
        reports=rows("cxr_reports", *REPORTS).lazy(),
        root=folder,
        size=SIZE,
        log=said.append,
    )
    return contents, said


def test_films_are_found_by_record_whatever_the_order(folder: Path) -> None:
    contents, said = add(folder, *FILMS)
    assert contents.select("modality", "num_records", "num_present").rows() == [("films", 2, 2), ("masks", 2, 1)]
    assert said == ["1 of 2 lung masks could not be read: their films have no control by the mask"]
    films = Films.open(folder, np.array([b"b", b"a"]))
    assert (films.view, films.label, films.path) == (["frontal", None], [None, True], ["b.png", "a.png"])
    assert films.group("sex").tolist() == ["F", ""]
    assert [films.summary[row] for row in films.text] == ["Clear. Normal.", "all is well"]
    assert [films.whole[row] for row in films.text] == [REPORTS[0]["text"], "all is well"]
    lungs = films.lungs([0], size=SIZE)
    assert (
        lungs.shape == (1, SIZE, SIZE) and lungs[0, :, : SIZE // 2 - 1].all() and not lungs[0, :, SIZE // 2 + 1 :].any()
    )


def test_a_digest_follows_what_is_written(folder: Path) -> None:
    first, _ = add(folder, *FILMS)
    again, _ = add(folder, *reversed(FILMS))
    other, _ = add(folder, FILMS[0], {**FILMS[1], "label": False})
    assert first.equals(again)
    assert (first["content_sha256"] == other["content_sha256"]).to_list() == [False, True]
    assert add(folder)[0].is_empty(), "a set without films"


def test_what_is_missing_is_named(folder: Path) -> None:
    add(folder, *FILMS)
    with pytest.raises(CorpusError, match="lacks 1 of 2 records"):
        Films.open(folder, np.array([b"b", b"c"]))
    with pytest.raises(CorpusError, match=r"films\.json: missing"):
        Films.open(folder / "none", np.array([b"b"]))
    with pytest.raises(ValueError, match="wanted"):
        write_films(folder, films={"record_id": ["a"]}, texts={"whole": [], "summary": []})


def test_small_models_get_two_texts_and_labels_of_pretraining_studies() -> None:
    labels = rows("mimic_cxr_jpg__chexpert", {"study_id": 7, "edema": 1, "fracture": -1})
    told = study_facts(
        rows("cxr_reports", *REPORTS).lazy(), labels.lazy(), rows("cohort_split", FILM_OF_7, FILM_OF_8).lazy()
    )
    assert sorted(told) == ["7", "8"]
    assert (told["7"]["findings"], told["7"]["impression"], told["8"]["findings"]) == ("Clear.", "Normal.", "")
    assert sorted(value for value in told["7"]["labels"] if value is not None) == [-1, 1]
    assert told["8"]["labels"] == [None] * 14


FILM_OF_7, FILM_OF_8 = ({"source": "cxr", "record_id": f"r{study}", "study_id": study} for study in (7, 8))


def test_what_was_seen_is_counted_where_the_training_set_is_known() -> None:
    films = rows("evaluation_films", film("a", 1, official_split="train"), film("b", 2, official_split="test"))
    cohorts = rows("cohort_split", {"subject_id": 2, "split": "pretrain"}, {"subject_id": 1, "split": "unused"})
    said = [
        {"method": method, "dataset": "mimic_cxr", "exposure": "possible", "is_contaminated": False, "seen": "-"}
        | {"counted": counted}
        for method, counted in (("medclip", "official_train"), ("medcsp", "pretrain"), ("clip", ""))
    ]
    found = exposure_of(said, films, cohorts.lazy(), splits={"mimic_cxr": "retrieval_mimic_cxr"})
    assert found.select("method", "num_films", "num_seen").rows() == [
        ("medclip", 2, 1),
        ("medcsp", 2, 1),
        ("clip", 2, None),
    ]
    assert CONTRACTS["exposure"].validate(found, cast=True).height == 3
