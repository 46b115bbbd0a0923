import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medcsp_model.corpus import Codes, Corpus, CorpusError, CorpusWriter, Image, Series, ragged


def test_importing_format_and_settings_needs_no_torch():
    code = (
        "import sys, medcsp_model.corpus, medcsp_model.settings; print(sorted({'torch', 'polars'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_what_was_written_is_read_back(toy):
    ehr, cxr = toy.sources["ehr"], toy.sources["cxr"]
    assert list(toy.sources) == ["ehr", "cxr"]
    assert list(ehr.modalities) == ["diagnosis", "drug", "demographics", "series", "note"]
    assert ehr.record_id[0] == b"ehr-0001-0"
    assert len(cxr.subject_id) == 24 * 3
    series, image = ehr.modalities["series"], cxr.modalities["image"]
    assert isinstance(series, Series)
    assert isinstance(image, Image)
    assert np.array_equal(np.diff(series.stay_indptr) == 0, np.arange(ehr.num_records) % 3 == 0)
    assert not series.present[::3].any()
    assert toy.meta["counts"]["links.ehr__cxr"] == len(toy.links["ehr", "cxr"].s)
    assert set(cxr.subject_id[toy.records("cxr", splits=["retrieval"])] % 3) == {0}
    with pytest.raises(ValueError, match="no split"):
        toy.records("cxr", splits=["validation"])


def test_pixels_come_in_the_order_asked_for(toy):
    image = toy.sources["cxr"].modalities["image"]
    records = [5, 0, 40, 5]
    expected = np.stack([image.shards[image.shard[record]][image.row[record]] for record in records])
    assert np.array_equal(image.pixels(records), expected)


def test_fingerprint_ignores_where_pixels_lie_but_not_what_they_are(tmp_path, toy_writer):
    first = toy_writer(tmp_path / "a")
    again = toy_writer(tmp_path / "b")
    assert first.fingerprint == again.fingerprint
    image = first.sources["cxr"].modalities["image"]
    digests = set()
    for name, shift in (("moved", 0), ("changed", 1)):
        pixels = image.pixels(np.arange(len(image.row)))[::-1] + np.uint8(shift)
        np.save(tmp_path / f"{name}.npy", pixels)
        writer = CorpusWriter(tmp_path / name, name="x", synthetic=True, splits=["a"], history_size=1)
        count = len(image.row)
        writer.add_source(
            "cxr",
            record_id=first.sources["cxr"].record_id,
            subject_id=np.arange(count),
            study_id=np.arange(count),
            time_days=np.zeros(count),
            split=np.zeros(count),
            history_indptr=np.zeros(count + 1),
            history_indices=[],
        )
        row = np.arange(count)[::-1]
        writer.add_images("cxr", "image", shard=np.zeros(count), row=row, shards=[tmp_path / f"{name}.npy"], size=32)
        digests.add(writer._digests["cxr/image/pixels"])
        writer.finish()
    assert len(digests) == 2
    original = CorpusWriter(tmp_path / "again", name="x", synthetic=True, splits=["a"], history_size=1)
    original.folder, original._meta = first.folder, first.meta
    assert original._hash_pixels("cxr", "image") in digests


def _break(folder: Path, name: str, change) -> None:
    path = folder / f"{name}.npy"
    np.save(path, change(np.load(path)))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ehr/diagnosis/indices", lambda a: a + 1000, "values break the rule: 0 <= value < 12"),
        ("ehr/diagnosis/indptr", lambda a: a[:-1], "boundaries"),
        ("ehr/demographics/values", lambda a: np.full_like(a, np.nan), "finite"),
        ("ehr/subject_id", lambda a: a.astype("int32"), "dtype int32, expected int64"),
        ("ehr/record_id", lambda a: a[::-1], "ascending and unique"),
        ("cxr/split", lambda a: a + 9, "0 <= value < 2"),
        ("cxr/image/row", lambda a: a + 1000, "below the number of images"),
        ("cxr/report/row", lambda a: a + 1000, "-1 <= value"),
        ("cxr/image/shards/00001", lambda a: a[:, :-1], "shape"),
        ("ehr/series/bin", lambda a: a + 100, "0 <= value < 6"),
        ("ehr/series/feature", lambda a: a[:-1], "values, expected"),
        ("links/ehr__cxr/s", lambda a: a[::-1], "sorted|subject"),
        ("links/ehr__cxr/t", lambda a: np.zeros_like(a), "sorted|subject"),
    ],
)
def test_a_broken_array_is_named(tmp_path, toy_writer, name, change, message):
    toy_writer(tmp_path / "c")
    _break(tmp_path / "c", name, change)
    with pytest.raises(CorpusError, match=message) as error:
        Corpus.open(tmp_path / "c")
    assert name.split("/")[0] in str(error.value)


def test_a_missing_or_truncated_file_and_a_foreign_version_are_named(tmp_path, toy_writer):
    with pytest.raises(CorpusError, match=r"no corpus\.json"):
        Corpus.open(tmp_path)
    folder = toy_writer(tmp_path / "c").folder
    path = folder / "ehr" / "time_days.npy"
    content = path.read_bytes()
    path.write_bytes(content[:40])
    with pytest.raises(CorpusError, match=r"time_days\.npy"):
        Corpus.open(folder)
    path.unlink()
    with pytest.raises(CorpusError, match=r"time_days\.npy: missing"):
        Corpus.open(folder)
    meta = json.loads((folder / "corpus.json").read_text()) | {"schema_version": 99}
    (folder / "corpus.json").write_text(json.dumps(meta))
    with pytest.raises(CorpusError, match="schema_version 99"):
        Corpus.open(folder)


def test_writer_refuses_what_would_be_lost(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(CorpusError, match="not empty"):
        CorpusWriter(tmp_path / "full", name="x", synthetic=True, splits=[], history_size=1)
    writer = CorpusWriter(tmp_path / "new", name="x", synthetic=True, splits=["a"], history_size=1)
    with pytest.raises(CorpusError, match="add_source before"):
        writer.add_codes("ehr", "drug", indptr=[0], indices=[], size=3)
    record = {"time_days": [0.0], "split": [0], "history_indptr": [0, 0], "history_indices": []}
    with pytest.raises(CorpusError, match="at most 64"):
        writer.add_source("ehr", record_id=["r" * 65], subject_id=[1], study_id=[1], **record)
    writer.add_source("ehr", record_id=["r"], subject_id=[1], study_id=[1], **record)
    with pytest.raises(CorpusError, match="1 of 1 values do not fit into int32"):
        writer.add_codes("ehr", "drug", indptr=[0, 1], indices=[1 << 40], size=3)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.data())
def test_ragged_gives_the_entries_of_each_row(lengths, data):
    indptr = np.cumsum([0, *lengths])
    rows = data.draw(hnp.arrays(np.int64, st.integers(0, 6), elements=st.integers(0, len(lengths) - 1)))
    found, positions = ragged(indptr, rows)
    assert found.tolist() == [lengths[row] for row in rows]
    assert positions.tolist() == [place for row in rows for place in range(indptr[row], indptr[row + 1])]


def test_an_empty_source_is_a_corpus(tmp_path):
    writer = CorpusWriter(tmp_path / "c", name="x", synthetic=True, splits=["a"], history_size=3)
    writer.add_source(
        "ehr", record_id=[], subject_id=[], study_id=[], time_days=[], split=[], history_indptr=[0], history_indices=[]
    )
    writer.add_codes("ehr", "drug", indptr=[0], indices=[], size=3)
    corpus = writer.finish()
    assert corpus.sources["ehr"].num_records == 0
    assert isinstance(corpus.sources["ehr"].modalities["drug"], Codes)


def records(count=2, **changed):
    """Records of a source, some of their arrays changed."""
    values = {
        "record_id": [f"r{number}" for number in range(count)],
        "subject_id": np.arange(count),
        "study_id": np.arange(count),
        "time_days": np.zeros(count),
        "split": np.zeros(count),
        "history_indptr": np.zeros(count + 1),
        "history_indices": [],
    }
    return values | changed


@pytest.fixture
def writer(tmp_path):
    return CorpusWriter(tmp_path / "c", name="x", synthetic=True, splits=["a"], history_size=3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"subject_id": [1.0, np.nan]}, r"subject_id\.npy: 1 of 2 values do not fit into int64"),
        ({"subject_id": [1.2, 1.7]}, r"subject_id\.npy: 2 of 2 values do not fit"),
        ({"subject_id": ["P1", "P2"]}, r"subject_id\.npy: <U2, expected numbers"),
        ({"study_id": np.array([1, None])}, r"study_id\.npy: object, expected numbers"),
        ({"split": [256.0, 0.0]}, r"split\.npy: 1 of 2 values do not fit into uint8"),
        ({"time_days": np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]")}, r"time_days\.npy: datetime64"),
        ({"record_id": ["ä", "b"]}, "1 of 2 record_id are not ASCII"),
        ({"record_id": np.array(["a", "b"], object)}, "give it as .astype"),
    ],
)
def test_records_lose_nothing_on_the_way(writer, changed, message):
    with pytest.raises(CorpusError, match=message) as error:
        writer.add_source("ehr", **records(**changed))
    assert "P1" not in str(error.value), "ids are no part of a message"


def test_names_are_given_once_and_stand_for_one_place(writer):
    writer.add_source("ehr", **records())
    writer.add_dense("ehr", "age", values=np.zeros((2, 1)), present=[1, 1])
    for name in ("a/b", "a.b", "../a", "a__b", "_a", ""):
        with pytest.raises(CorpusError, match="has letters, digits"):
            writer.add_source(name, **records())
    for name in ("ehr", "links"):
        with pytest.raises(CorpusError, match="given once"):
            writer.add_source(name, **records())
    for name in ("age", "history"):
        with pytest.raises(CorpusError, match="given once"):
            writer.add_codes("ehr", name, indptr=[0, 0, 0], indices=[], size=3)


def test_dense_values_are_rows_of_numbers(writer):
    writer.add_source("ehr", **records())
    with pytest.raises(CorpusError, match=r"age has shape \(2,\)"):
        writer.add_dense("ehr", "age", values=np.zeros(2), present=[1, 1])
    with pytest.raises(CorpusError, match=r"present\.npy: 1 of 2 values do not fit into bool"):
        writer.add_dense("ehr", "age", values=np.zeros((2, 1)), present=[1.0, np.nan])
    with pytest.raises(CorpusError, match="complex128, expected numbers"):
        writer.add_dense("ehr", "wave", values=np.full((2, 1), 1j), present=[1, 1])


@pytest.mark.parametrize("at_once", [1, 1 << 22])
def test_an_hour_has_one_reading_of_a_feature(writer, monkeypatch, at_once):
    monkeypatch.setattr("medcsp_model.corpus.writer.CELLS_AT_ONCE", at_once)
    writer.add_source("ehr", **records())
    stays = {"stay_indptr": [0, 1, 2], "cell_indptr": [0, 3, 5], "value": np.zeros(5)}
    sizes = {"size": 2, "num_bins": 6, "max_stays": 1}
    writer.add_series("ehr", "fine", **stays, bin=[1, 0, 0, 1, 1], feature=[0, 0, 1, 0, 1], **sizes)
    with pytest.raises(CorpusError, match="twice has 2 cells of a stay, bin and feature"):
        writer.add_series("ehr", "twice", **stays, bin=[1, 0, 1, 1, 1], feature=[0, 0, 0, 1, 1], **sizes)
    with pytest.raises(CorpusError, match=r"bin\.npy: 4 values, expected 5"):
        writer.add_series("ehr", "short", **stays, bin=[1, 0, 1, 1], feature=[0, 0, 0, 1, 1], **sizes)


@pytest.mark.parametrize("given", [lambda array: array, np.asarray, lambda array: array[:]])
def test_allocated_arrays_keep_what_they_hold_wherever_the_folder_is(tmp_path, monkeypatch, given):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    monkeypatch.chdir(tmp_path)
    for folder in ("here", "link", str(tmp_path / "absolute")):
        writer = CorpusWriter(folder, name="x", synthetic=True, splits=["a"], history_size=1)
        writer.add_source("ehr", **records())
        arrays = writer.allocate("ehr", "hours", "series", dict.fromkeys(("bin", "feature", "value"), 2))
        for number, array in enumerate(arrays.values(), start=1):
            array[:] = number
        arrays |= {"stay_indptr": [0, 1, 2], "cell_indptr": [0, 1, 2]}
        passed = {name: given(array) for name, array in arrays.items()}
        writer.add_series("ehr", "hours", **passed, size=3, num_bins=2, max_stays=1)
        series = writer.finish().sources["ehr"].modalities["hours"]
        assert [series.bin.tolist(), series.feature.tolist(), series.value.tolist()] == [[1, 1], [2, 2], [3, 3]]


def test_links_are_of_two_known_sources_and_written_once(writer):
    for name in ("ehr", "cxr"):
        writer.add_source(name, **records())
        writer.add_dense(name, "age", values=np.zeros((2, 1)), present=[1, 1])
    one = {"s_records": [0], "t_records": [0], "gap_days": [1.0]}
    for s, t in (("ehr", "ehr"), ("ehr", "ecg")):
        with pytest.raises(CorpusError, match="give two of the sources"):
            writer.add_links(s, t, **one)
    with pytest.raises(CorpusError, match="1 and 1 records, 2 gaps"):
        writer.add_links("ehr", "cxr", **(one | {"gap_days": [1.0, 2.0]}))
    writer.add_links("ehr", "cxr", **(one | {"gap_days": [-1.0]}))
    with pytest.raises(CorpusError, match="given before"):
        writer.add_links("cxr", "ehr", **one)
    with pytest.raises(CorpusError, match=r"gap_days\.npy: 1 of 1 values break the rule: a number of days"):
        writer.finish()


def test_a_source_has_a_modality_and_a_text_pads_with_one_of_its_tokens(tmp_path, writer):
    writer.add_source("ehr", **records())
    with pytest.raises(CorpusError, match="no modality"):
        writer.finish()
    writer.add_text("ehr", "note", row=[0, 0], offsets=[0, 2], tokens=[1, 2], size=3, pad_id=3)
    with pytest.raises(CorpusError, match="pad_id 3 is none of its 3 tokens"):
        writer.finish()
    for splits in ("train", ["train", "train"]):
        with pytest.raises(CorpusError, match="names, each once"):
            CorpusWriter(tmp_path / "d", name="x", synthetic=True, splits=splits, history_size=1)


def test_images_are_looked_at_before_they_are_hashed(tmp_path, writer):
    path = tmp_path / "shard.npy"
    np.save(path, np.zeros((2, 4, 4), np.uint8))
    writer.add_source("cxr", **records())
    with pytest.raises(CorpusError, match=r"row\.npy: 1 of 2 values break the rule: below the number of images"):
        writer.add_images("cxr", "image", shard=[0, 0], row=[0, 2], shards=[path], size=4)


@pytest.mark.parametrize("text", ["[]", '{"schema_version": 1', '{"schema_version": 1}'])
def test_a_spoilt_description_is_named(toy_writer, tmp_path, text):
    path = toy_writer(tmp_path / "c").folder / "corpus.json"
    path.write_text(text)
    with pytest.raises(CorpusError, match=r"corpus\.json: (not readable|lacks)"):
        Corpus.open(path.parent)


def test_the_printed_way_to_train_on_other_data_works(tmp_path, monkeypatch):
    page = (Path(__file__).resolve().parents[2] / "docs" / "own_data.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.M | re.S)
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(compile(code, "own_data.md", "exec"), found)
    assert found["done"]["steps"] == 4
    assert found["mean"].shape == (2, 64)
    assert np.allclose(np.linalg.norm(found["mean"], axis=1), 1, atol=1e-5)
