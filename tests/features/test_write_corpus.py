from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from data_contracts import CONTRACTS
from medcsp_model.corpus import Corpus
from pipelines.features.corpus import write_corpus
from pipelines.features.demographics import demographics_names
from pipelines.features.image_store import ImageStore
from pipelines.features.pretrain_sources import ADMISSIONS, CHEST_XRAYS, PretrainSource, films

SIZE = 4
DICOM = [f"{k:08x}-00000000-00000000-00000000-00000000" for k in range(5)]
SETTINGS = {"max_stays": 2, "window_hours": 48, "image_size": SIZE, "theta_days": 30.0}
NIGHT = datetime(2150, 1, 2)


def rows(table, *records):
    """Rows of a contract; the columns that are not named are null."""
    columns = CONTRACTS[table].columns()
    schema = {name: column.dtype for name, column in columns.items()}
    return pl.DataFrame([dict.fromkeys(schema) | record for record in records], schema=schema).lazy()


def pixels(k):
    return np.full((SIZE, SIZE), k, dtype=np.uint8)


@pytest.fixture
def store(tmp_path):
    return ImageStore(tmp_path / "pixels", images_per_shard=2)


@pytest.fixture
def tables(store):
    """Two admissions of subject 1, one of subject 2; studies 50, 51 of subject 1, 52 of subject 3 (no EHR)."""
    digests = store.add([pixels(10), pixels(11), pixels(12)])
    ehr = [(100, 1, "pretrain"), (20, 1, "pretrain"), (30, 2, "ehr_holdout")]
    films = [(0, 1, 50, "pretrain"), (1, 1, 50, "pretrain"), (2, 1, 51, "pretrain"), (3, 3, 52, "retrieval_mimic_cxr")]
    return {
        "cohort_split": rows(
            "cohort_split",
            *({"source": "ehr", "record_id": str(h), "subject_id": s, "study_id": h, "split": x} for h, s, x in ehr),
            *(
                {"source": "cxr", "record_id": DICOM[k], "subject_id": s, "study_id": y, "split": x}
                for k, s, y, x in films
            ),
        ),
        "ehr_records": rows(
            "ehr_records",
            *({"record_id": str(h), "hadm_id": h, "subject_id": s, "record_time": NIGHT} for h, s, _ in ehr),
        ),
        "cxr_records": rows(
            "cxr_records",
            *(
                {"source": "cxr", "record_id": DICOM[k], "record_time": NIGHT + timedelta(hours=12 * k)}
                for k, *_ in films
            ),
        ),
        "ehr_stays": rows(
            "ehr_stays",
            {"hadm_id": 100, "stay_id": 9, "stay_index": 0},
            {"hadm_id": 100, "stay_id": 7, "stay_index": 1},
            {"hadm_id": 100, "stay_id": 8, "stay_index": 2},
            {"hadm_id": 20, "stay_id": 3, "stay_index": 0},
        ),
        "ehr_codes": rows(
            "ehr_codes",
            {"hadm_id": 100, "kind": "diagnosis", "code": "A", "icd_version": 10},
            {"hadm_id": 100, "kind": "diagnosis", "code": "A", "icd_version": 9},
            {"hadm_id": 100, "kind": "diagnosis", "code": "rare", "icd_version": 10},
            {"hadm_id": 100, "kind": "drug", "code": "A", "icd_version": 0},
            {"hadm_id": 30, "kind": "drug", "code": "heparin", "icd_version": 0},
        ),
        "ehr_demographics": rows("ehr_demographics", {"hadm_id": 20, "age_years": 80.0, "gender": "F"}),
        "ehr_series": rows(
            "ehr_series",
            {"stay_id": 7, "bin": 5, "feature_index": 1, "value": 1.0},
            {"stay_id": 8, "bin": 0, "feature_index": 0, "value": 1.0},
            {"stay_id": 9, "bin": 1, "feature_index": 1, "value": 1.0},
            {"stay_id": 9, "bin": 2, "feature_index": 0, "value": 1.0},
        ),
        "cxr_images": rows(
            "cxr_images",
            *(
                {"source": "cxr", "record_id": DICOM[k], "pixel_sha256": digests[place]}
                for k, place in ((0, 2), (2, 0), (3, 1))
            ),
        ),
        "text_tokens": rows(
            "text_tokens",
            {"source": "cxr", "text_id": "50", "token_indices": [2, 5, 3]},
            {"source": "cxr", "text_id": "52", "token_indices": [2, 4, 4, 3]},
            {"source": "ehr", "text_id": "20", "token_indices": [2, 3]},
            {"source": "ehr", "text_id": "50", "token_indices": [2, 3]},
        ),
        "diagnosis_vocabulary": rows(
            "diagnosis_vocabulary",
            {"code_index": 0, "icd_version": 9, "icd_code": "A"},
            {"code_index": 1, "icd_version": 10, "icd_code": "A"},
        ),
        "drug_vocabulary": rows("drug_vocabulary", {"drug_index": 0, "drug": "A"}),
        "series_features": rows("series_features", {"feature_index": 0}, {"feature_index": 1}),
        "tokenizer_vocabulary": rows(
            "tokenizer_vocabulary", *({"token_index": k, "token": t} for k, t in enumerate(["[PAD]", *"abcde"]))
        ),
        "diagnosis_histories": rows(
            "diagnosis_histories",
            {"source": "ehr", "record_id": "100", "code_indices": [0, 1]},
            {"source": "ehr", "record_id": "20", "code_indices": []},
            {"source": "cxr", "record_id": DICOM[2], "code_indices": [1]},
        ),
        "same_patient_pairs": rows(
            "same_patient_pairs",
            {"source": "ehr", "record_id": "20", "other_source": "cxr", "other_record_id": DICOM[1], "gap_days": 2.5},
            {"source": "ehr", "record_id": "100", "other_source": "cxr", "other_record_id": DICOM[2], "gap_days": 0.0},
            {"source": "ehr", "record_id": "100", "other_source": "cxr", "other_record_id": DICOM[0], "gap_days": 1.0},
            {"source": "ehr", "record_id": "30", "other_source": "cxr", "other_record_id": DICOM[0], "gap_days": 1.0},
        ),
    }


def write(folder, tables, store, splits=("pretrain",), sources=(ADMISSIONS, CHEST_XRAYS)):
    contents = write_corpus(
        folder,
        name="c",
        tables=tables,
        sources=sources,
        splits=list(splits),
        store=store,
        synthetic=True,
        settings=SETTINGS,
        inputs={},
    )
    return Corpus.open(folder), contents


def test_records_stand_in_the_order_of_their_ids(tmp_path, tables, store):
    corpus, _ = write(tmp_path / "corpus", tables, store)
    ehr, cxr = corpus.sources["ehr"], corpus.sources["cxr"]
    assert ehr.record_id.tolist() == [b"100", b"20"]
    assert ehr.study_id.tolist() == [100, 20]
    assert cxr.record_id.tolist() == [name.encode() for name in DICOM[:3]]
    assert cxr.study_id.tolist() == [50, 50, 51]
    days = (NIGHT - datetime(1970, 1, 1)).days
    assert cxr.time_days.tolist() == [days, days + 0.5, days + 1.0]


def test_codes_are_joined_by_version_and_code(tmp_path, tables, store):
    corpus, _ = write(tmp_path / "corpus", tables, store)
    modalities = corpus.sources["ehr"].modalities
    assert (modalities["diagnosis"].indptr.tolist(), modalities["diagnosis"].indices.tolist()) == ([0, 2, 2], [0, 1])
    assert (modalities["drug"].indptr.tolist(), modalities["drug"].indices.tolist()) == ([0, 1, 1], [0])


def test_what_a_record_lacks_is_masked(tmp_path, tables, store):
    corpus, _ = write(tmp_path / "corpus", tables, store)
    ehr, cxr = corpus.sources["ehr"].modalities, corpus.sources["cxr"].modalities
    assert ehr["demographics"].present.tolist() == [False, True]
    assert ehr["demographics"].values[0].tolist() == [0.0] * ehr["demographics"].size
    assert ehr["note"].row.tolist() == [-1, 0]
    assert ehr["series"].present.tolist() == [True, False]
    assert cxr["image"].present.tolist() == [True, False, True]
    assert cxr["report"].row.tolist() == [0, 0, -1]
    assert corpus.sources["ehr"].history.present.tolist() == [True, False]
    assert corpus.sources["cxr"].history.present.tolist() == [False, False, True]


def test_series_keeps_the_first_stays_in_their_order(tmp_path, tables, store):
    corpus, _ = write(tmp_path / "corpus", tables, store)
    series = corpus.sources["ehr"].modalities["series"]
    assert series.stay_indptr.tolist() == [0, 2, 3]
    assert series.cell_indptr.tolist() == [0, 2, 3, 3]
    cells = list(zip(series.bin.tolist(), series.feature.tolist(), strict=True))
    assert cells == [(1, 1), (2, 0), (5, 1)]  # stay 9, then stay 7; the third stay, 8, is cut


def test_images_are_found_whatever_their_shard(tmp_path, tables, store):
    corpus, _ = write(tmp_path / "corpus", tables, store)
    image = corpus.sources["cxr"].modalities["image"]
    assert image.pixels([0, 2])[:, 0, 0].tolist() == [12, 10]


def test_links_hold_record_positions_of_this_corpus(tmp_path, tables, store):
    corpus, _ = write(tmp_path / "corpus", tables, store)
    links = corpus.links["ehr", "cxr"]
    assert list(zip(links.s.tolist(), links.t.tolist(), links.gap_days.tolist(), strict=True)) == [
        (0, 0, 1.0),
        (0, 2, 0.0),
        (1, 1, 2.5),
    ]


def test_a_source_without_records_is_written_empty(tmp_path, tables, store):
    corpus, contents = write(tmp_path / "corpus", tables, store, ["retrieval_mimic_cxr"])
    assert corpus.sources["ehr"].num_records == 0
    assert corpus.sources["ehr"].modalities["demographics"].size == len(demographics_names())
    assert corpus.sources["cxr"].modalities["image"].pixels([0])[0, 0, 0] == 11
    assert contents.filter(pl.col("source") == "ehr")["num_present"].to_list() == [0] * 8


def test_contents_obey_their_contract(tmp_path, tables, store):
    _, contents = write(tmp_path / "corpus", tables, store)
    valid, failure = CONTRACTS["pretrain_corpus"].filter(contents, cast=True)
    assert len(failure) == 0
    assert dict(valid.filter(pl.col("source") == "cxr").select("modality", "num_present").iter_rows()) == {
        "records": 3,
        "history": 1,
        "image": 2,
        "report": 2,
        "links": 3,
    }


def test_contents_do_not_depend_on_where_pixels_lie(tmp_path, tables, store):
    first, contents = write(tmp_path / "first", tables, store)
    other = ImageStore(tmp_path / "elsewhere", images_per_shard=1)
    other.add([pixels(11), pixels(99), pixels(10), pixels(12)])
    second, same = write(tmp_path / "second", tables, other)
    assert contents.equals(same)
    assert first.fingerprint == second.fingerprint


def test_cells_in_batches_of_any_size_are_the_same_cells(tmp_path, tables, store, monkeypatch):
    _, whole = write(tmp_path / "whole", tables, store)
    monkeypatch.setattr("pipelines.features.corpus_modalities.CELLS_PER_BATCH", 1)
    corpus, batched = write(tmp_path / "batched", tables, store)
    assert batched.equals(whole)
    cells = corpus.sources["ehr"].modalities["series"]
    assert [(int(b), int(f)) for b, f in zip(cells.bin, cells.feature, strict=True)] == [(1, 1), (2, 0), (5, 1)]


@pytest.mark.parametrize(
    ("table", "change", "modality"),
    [
        ("ehr_series", pl.col("bin") + 1, "series"),
        ("text_tokens", pl.col("token_indices").list.reverse(), "report"),
        ("same_patient_pairs", pl.col("gap_days") + 1, "links"),
        ("cxr_images", pl.col("pixel_sha256").reverse(), "image"),
    ],
)
def test_a_change_shows_in_the_digest_of_its_modality_alone(tmp_path, tables, store, table, change, modality):
    _, before = write(tmp_path / "before", tables, store)
    _, after = write(tmp_path / "after", {**tables, table: tables[table].with_columns(change)}, store)
    both = before.join(after, on=["source", "modality"])
    changed = both.filter(pl.col("content_sha256") != pl.col("content_sha256_right"))["modality"].unique().to_list()
    assert modality in changed
    assert set(changed) <= {modality, "note"}


@pytest.mark.parametrize("table", ["diagnosis_vocabulary", "drug_vocabulary", "series_features"])
def test_an_empty_vocabulary_is_an_error(tmp_path, tables, store, table):
    with pytest.raises(ValueError, match=f"{table} is empty"):
        write(tmp_path / "corpus", {**tables, table: tables[table].head(0)}, store)


def test_a_record_without_its_row_is_an_error(tmp_path, tables, store):
    with pytest.raises(ValueError, match="cxr_records lacks 1 of 3 records"):
        write(tmp_path / "corpus", {**tables, "cxr_records": tables["cxr_records"].head(2)}, store)


@pytest.fixture
def with_third(tables, store):
    """The same with two films of one study of a release without dates, whose patient is nobody else's."""
    films_of = [("CXR1_a", 900_000_001), ("CXR1_b", 900_000_001), ("CXR2_a", 900_000_002)]
    (digest,) = store.add([pixels(77)])
    more = {
        "cohort_split": rows(
            "cohort_split",
            *(
                {"source": "third", "record_id": name, "subject_id": study, "study_id": study, "split": "pretrain"}
                for name, study in films_of
            ),
        ),
        "cxr_records": rows("cxr_records", *({"source": "third", "record_id": name} for name, _ in films_of)),
        "cxr_images": rows("cxr_images", {"source": "third", "record_id": "CXR1_b", "pixel_sha256": digest}),
        "text_tokens": rows(
            "text_tokens",
            {"source": "third", "text_id": "900000001", "token_indices": [2, 1, 3]},
            {"source": "cxr", "text_id": "900000002", "token_indices": [2, 3]},
        ),
        "diagnosis_histories": rows(
            "diagnosis_histories",
            *({"source": "third", "record_id": name, "code_indices": []} for name, _ in films_of),
        ),
    }
    return tables | {name: pl.concat([tables[name], frame]) for name, frame in more.items()}


def test_a_third_source_is_one_more_declaration(tmp_path, with_third, store):
    corpus, contents = write(tmp_path / "c", with_third, store, sources=(ADMISSIONS, CHEST_XRAYS, films("third")))
    assert list(corpus.sources) == ["ehr", "cxr", "third"]
    third = corpus.sources["third"]
    assert third.record_id.tolist() == [b"CXR1_a", b"CXR1_b", b"CXR2_a"]
    assert third.study_id.tolist() == third.subject_id.tolist() == [900_000_001, 900_000_001, 900_000_002]
    assert np.isnan(third.time_days).all()
    assert not third.history.present.any()
    assert third.modalities["image"].present.tolist() == [False, True, False]
    assert third.modalities["image"].pixels([1])[0, 0, 0] == 77
    assert third.modalities["report"].row.tolist() == [0, 0, -1]
    assert list(corpus.links) == [("ehr", "cxr")]
    assert contents.filter(source="third", modality="links")["num_present"].to_list() == [0]


def test_what_is_not_declared_is_not_written(tmp_path, with_third, store):
    _, two = write(tmp_path / "two", with_third, store)
    _, three = write(tmp_path / "three", with_third, store, sources=(ADMISSIONS, CHEST_XRAYS, films("third")))
    assert three.filter(pl.col("source") != "third").sort("source", "modality").equals(two.sort("source", "modality"))
    one = PretrainSource(name="cxr", records="cxr_records", modalities=("report",), patients="shared")
    corpus, _ = write(tmp_path / "one", {**with_third, "drug_vocabulary": None}, store, sources=(one,))
    assert {name: list(source.modalities) for name, source in corpus.sources.items()} == {"cxr": ["report"]}
    assert corpus.links == {}


def test_pairs_are_found_in_either_order_of_the_sources(tmp_path, tables, store):
    corpus, _ = write(tmp_path / "corpus", tables, store, sources=(CHEST_XRAYS, ADMISSIONS))
    links = corpus.links["cxr", "ehr"]
    assert list(zip(links.s.tolist(), links.t.tolist(), links.gap_days.tolist(), strict=True)) == [
        (0, 0, 1.0),
        (1, 1, 2.5),
        (2, 0, 0.0),
    ]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ((), "declares no source"),
        ((films("a"), films("a")), "declares a more than once"),
        ((PretrainSource(name="a", records="cxr_records", modalities=("sound",)),), "no modality 'sound'; known: diag"),
    ],
)
def test_a_declaration_that_cannot_be_meant(tmp_path, tables, store, sources, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "corpus", tables, store, sources=sources)
