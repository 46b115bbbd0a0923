import json
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
    original.folder = first.folder
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
    with pytest.raises(CorpusError, match="does not fit into int32"):
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
