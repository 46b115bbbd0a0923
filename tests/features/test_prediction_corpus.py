"""Task folders: who stands in them, what may be read, and what can never reach them."""

import hashlib
import json
from copy import deepcopy
from datetime import datetime, timedelta

import polars as pl
import pytest

from data_contracts import CONTRACTS
from medcsp_model.corpus import Corpus
from medcsp_model.evaluation.task_data import TaskData, TaskError
from pipelines.features.demographics import demographics_names
from pipelines.features.prediction_corpus import (
    INDEX_EVENTS,
    SPACES,
    VocabularyMismatchError,
    check_vocabularies,
    readable,
    write_task_folder,
)
from pipelines.features.tasks import NEVER, Input

ADMITTED = datetime(2150, 1, 1)
LEFT = ADMITTED + timedelta(days=9)
AT_48H, AT_DISCHARGE = ADMITTED + timedelta(hours=48), LEFT
NATIVE, SHARED = SPACES["native"], SPACES["shared"]
# stay: subject, admission, cohorts, split
STAYS = {
    7: (1, 100, ("metavision",), "train"),
    8: (1, 100, ("metavision",), "train"),
    9: (2, 200, ("metavision",), "validation"),
    10: (3, 300, ("carevue", "carevue_filtered"), "test"),
}


def rows(table, *records):
    """Rows of a contract; the columns that are not named are null."""
    schema = {name: column.dtype for name, column in CONTRACTS[table].columns().items()}
    return pl.DataFrame([dict.fromkeys(schema) | record for record in records], schema=schema).lazy()


def label(task, stay, cohort, *, index_event, index_time, positive):
    subject, hadm, _, split = STAYS[stay]
    return {
        "task": task, "horizon": "30d" if index_event == "discharge" else "unbounded", "cohort": cohort,
        "subject_id": subject, "hadm_id": hadm, "stay_id": stay, "index_event": index_event, "index_time": index_time,
        "label": positive, "is_competing": False, "split": split, "fold": subject % 5,
    }  # fmt: skip


def read(index_event, stay, name, *, of=None, before=48.0, num_rows=1):
    return {
        "index_event": index_event, "stay_id": stay, "input": name, "input_stay_id": of or stay,
        "before_hours": before, "num_rows": num_rows, "num_late_rows": 0,
    }  # fmt: skip


def reading(stay, variable, offset, number, *, known=None):
    subject, hadm, *_ = STAYS[stay]
    return {
        "subject_id": subject, "hadm_id": hadm, "stay_id": stay, "variable": variable, "offset_hours": offset,
        "known_hours": offset if known is None else known, "value": str(number), "value_number": float(number),
    }  # fmt: skip


def feature(index, variable, low, high):
    return {
        "feature_index": index, "feature": f"{variable}_{index}", "variable": variable, "statistic": "value",
        "low": low, "high": high, "low_inclusive": True, "is_filled": False, "aliases": [],
    }  # fmt: skip


@pytest.fixture
def tables():
    """Stay 7 comes before stay 8 of one admission; admission 200 has neither drugs nor a summary."""
    labels = [
        label(task, stay, cohort, index_event=event, index_time=time, positive=stay in (8, 10))
        for stay, (_, _, cohorts, _) in STAYS.items()
        for cohort in cohorts
        for task, event, time in (("arf", "icu_48h", AT_48H), ("readmission", "discharge", AT_DISCHARGE))
        if event == "icu_48h" or stay != 7
    ]
    inputs = [
        *(read("icu_48h", stay, name) for stay in STAYS for name in ("series", "demographics")),
        read("icu_48h", 8, "series", of=7, before=90.0),
        *(
            read("discharge", stay, name, before=216.0, num_rows=int(stay != 9 or name == "series"))
            for stay in (8, 9, 10)
            for name in ("series", "demographics", "summary", "drugs", "diagnoses")
        ),
        read("discharge", 8, "series", of=7, before=230.0),
    ]
    readings = [
        reading(7, "chart_1", 0.5, 10), reading(7, "chart_1", 3.0, 10, known=60.0),
        reading(8, "chart_1", 1.5, 10), reading(8, "chart_1", 2.5, 30, known=48.0), reading(9, "chart_1", 5.0, 30),
    ]  # fmt: skip
    code = {"known_time": AT_DISCHARGE, "icd_version": 10, "kind": "diagnosis"}
    drug = {"icd_version": 0, "kind": "drug"}
    return {
        "prediction_labels": rows("prediction_labels", *labels),
        "prediction_inputs": rows("prediction_inputs", *inputs),
        "ehr_readings": rows("ehr_readings", *readings),
        "ehr_shared_readings": rows("ehr_shared_readings", reading(10, "heart_rate", 4.0, 70)),
        "series_features": rows("series_features", feature(0, "chart_1", 0.0, 20.0), feature(1, "chart_1", 20.0, 40.0)),
        "shared_series_features": rows("shared_series_features", feature(0, "heart_rate", 0.0, 99.0)),
        "ehr_demographics": rows(
            "ehr_demographics",
            {"hadm_id": 100, "age_years": 80.0, "gender": "F", "race_group": "black", "insurance_group": "medicare"},
            {"hadm_id": 200, "age_years": 44.9, "gender": "M", "race_group": "white", "insurance_group": "other"},
        ),
        "ehr_codes": rows(
            "ehr_codes",
            *({"hadm_id": hadm, "code": "A", **code} for hadm in (100, 200)),
            {"hadm_id": 100, "code": "early", "known_time": AT_DISCHARGE - timedelta(microseconds=1), **drug},
            {"hadm_id": 100, "code": "late", "known_time": AT_DISCHARGE, **drug},
        ),
        "text_tokens": rows(
            "text_tokens", *({"source": "ehr", "text_id": text, "token_indices": [2, 3]} for text in ("100", "200"))
        ),
        "diagnosis_vocabulary": rows("diagnosis_vocabulary", {"code_index": 0, "icd_version": 10, "icd_code": "A"}),
        "drug_vocabulary": rows(
            "drug_vocabulary", *({"drug_index": k, "drug": drug} for k, drug in enumerate(("early", "late")))
        ),
        "tokenizer_vocabulary": rows(
            "tokenizer_vocabulary", *({"token_index": k, "token": t} for k, t in enumerate(["[PAD]", *"abcde"]))
        ),
    }  # fmt: skip


def write(folder, tables, *, index_event="icu_48h", space=NATIVE, parts=1):
    scratch = folder.with_name(f"{folder.name}_cells")
    scratch.mkdir()
    readings = tables[space.readings]
    pieces = [readings.filter(pl.col("subject_id") % parts == part) for part in range(parts)]
    contents = write_task_folder(
        folder,
        name="critical_care_corpus",
        index_event=index_event,
        space=space,
        tables=tables,
        readings=pieces,
        scratch=scratch,
        synthetic=True,
        settings={"max_stays": 3, "window_hours": 48},
        inputs={table: f"version of {table}" for table in tables},
    )
    return Corpus.open(folder).sources["ehr"], contents


def cells(source, record):
    """Hour and feature of every cell of a record, stay by stay."""
    series = source.modalities["series"]
    bounds = series.stay_indptr[record : record + 2]
    return [
        list(zip(series.bin[a:b].tolist(), series.feature[a:b].tolist(), strict=True))
        for a, b in zip(series.cell_indptr[bounds[0] : bounds[1]], series.cell_indptr[bounds[0] + 1 :], strict=False)
    ]


def bytes_of(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_one_record_per_example_of_the_cohorts_of_a_space(tmp_path, tables):
    native, _ = write(tmp_path / "native", tables)
    assert native.record_id.tolist() == [b"7", b"8", b"9"]
    assert native.study_id.tolist() == [100, 100, 200] and native.split.tolist() == [0, 0, 1]
    assert native.time_days.tolist() == [(AT_48H - datetime(1970, 1, 1)).days] * 3
    assert native.history.present.tolist() == [False] * 3
    shared, _ = write(tmp_path / "shared", tables, space=SHARED)
    assert shared.record_id.tolist() == [b"10", b"7", b"8", b"9"]
    assert cells(shared, 0) == [[(4, 0)]] and cells(shared, 1) == [[]]
    meta = json.loads((tmp_path / "shared" / "corpus.json").read_text())
    assert "ehr_shared_readings" in meta["inputs"] and "ehr_readings" not in meta["inputs"]


def test_a_series_is_what_was_known_at_its_index_time_and_its_own_stay_comes_last(tmp_path, tables):
    at_48h, _ = write(tmp_path / "early", tables)
    assert cells(at_48h, 0) == [[(0, 0)]]  # of stay 7, what became known at hour 60 is not known at 48
    assert cells(at_48h, 1) == [[(0, 0), (3, 0)], [(1, 0)]]  # at hour 90 of stay 7 it is; at 48, exactly then is not
    assert cells(at_48h, 2) == [[(5, 1)]]
    at_discharge, _ = write(tmp_path / "late", tables, index_event="discharge")
    assert at_discharge.record_id.tolist() == [b"8", b"9"]
    assert cells(at_discharge, 0) == [[(0, 0), (3, 0)], [(1, 0), (2, 1)]]


def test_only_discharge_has_what_is_written_by_then(tmp_path, tables):
    at_48h, _ = write(tmp_path / "early", tables)
    assert list(at_48h.modalities) == ["series", "demographics"]
    at_discharge, contents = write(tmp_path / "late", tables, index_event="discharge")
    assert list(at_discharge.modalities) == ["series", "demographics", "note", "drug", "diagnosis"]
    assert at_discharge.modalities["drug"].indices.tolist() == [0], "ordered at discharge is not known before it"
    assert at_discharge.modalities["drug"].present.tolist() == [True, False]
    assert at_discharge.modalities["note"].present.tolist() == [True, False], "admission 200's may not be read"
    assert at_discharge.modalities["diagnosis"].present.tolist() == [True, False]
    flags = json.loads((tmp_path / "late" / "corpus.json").read_text())["settings"]["flags"]
    assert flags == {"note": "stored_after_discharge", "diagnosis": "coded_after_discharge"}
    present = dict(contents.select("modality", "num_present").iter_rows())
    assert present == {
        "records": 2, "series": 2, "demographics": 1, "note": 1, "drug": 1, "diagnosis": 1, "labels": 2,
    }  # fmt: skip


def test_stays_of_one_admission_share_its_demographics(tmp_path, tables):
    source, _ = write(tmp_path / "corpus", tables)
    people = source.modalities["demographics"]
    assert people.present.tolist() == [True, True, True]
    ages = people.values[:, demographics_names().index("age_scaled")]
    assert ages.tolist() == pytest.approx([1.0, 1.0, -0.755])


def test_labels_are_read_as_a_task(tmp_path, tables):
    write(tmp_path / "corpus", tables, space=SHARED)
    task = TaskData.open(tmp_path / "corpus", task="arf", horizon="unbounded", cohort="metavision")
    assert task.label_N.tolist() == [False, True, False]
    assert task.subject_N.tolist() == [1, 1, 2] and task.fold_N.tolist() == [1, 1, 2]
    assert task.split_N.tolist() == ["train", "train", "validation"]
    groups = {name: values.tolist() for name, values in task.groups.items()}
    assert groups == {
        "age": ["80_and_over", "80_and_over", "under_45"],
        "sex": ["F", "F", "M"],
        "race": ["black", "black", "white"],
        "insurance": ["medicare", "medicare", "other"],
    }
    nobody_knows = TaskData.open(tmp_path / "corpus", task="arf", horizon="unbounded", cohort="carevue")
    assert {values.tolist()[0] for values in nobody_knows.groups.values()} == {"unknown"}
    with pytest.raises(TaskError, match=r"validation of part 'split' has 0 positives of 1 examples"):
        task.part()


def test_a_cohort_without_anybody_is_an_empty_folder_that_says_so(tmp_path, tables):
    tables["prediction_labels"] = tables["prediction_labels"].clear()
    source, contents = write(tmp_path / "corpus", tables)
    assert source.num_records == 0 and set(contents["num_present"]) == {0}
    with pytest.raises(TaskError, match="no example of arf/unbounded/metavision"):
        TaskData.open(tmp_path / "corpus", task="arf", horizon="unbounded", cohort="metavision")


@pytest.mark.parametrize("index_event", INDEX_EVENTS)
def test_nothing_that_is_known_at_the_end_reaches_a_folder(tmp_path, tables, index_event):
    """Put such columns into every table that is read, twice with other values: no byte of the folder differs."""
    for number in (1, 2):
        spoilt = {
            name: rows.with_columns(**{column: pl.lit(777_000 + number) for column in sorted(NEVER)})
            for name, rows in tables.items()
        }
        write(tmp_path / str(number), spoilt, index_event=index_event)
    write(tmp_path / "clean", tables, index_event=index_event)
    assert bytes_of(tmp_path / "1") == bytes_of(tmp_path / "2") == bytes_of(tmp_path / "clean")
    event = INDEX_EVENTS[index_event]
    for name in ("ehr_demographics", "ehr_codes", "text_tokens", "ehr_readings"):
        assert not NEVER & set(readable(spoilt[name], event).collect_schema().names())
    with pytest.raises(ValueError, match="discharge_location"):
        Input(name="series", tables=("ehr_readings",), columns=("discharge_location",))


def test_parts_and_the_order_of_rows_change_nothing(tmp_path, tables):
    _, whole = write(tmp_path / "whole", tables, index_event="discharge")
    shuffled = {
        name: rows.collect().sample(fraction=1.0, shuffle=True, seed=1).lazy()
        if name in ("prediction_labels", "prediction_inputs", "ehr_codes", "ehr_demographics")
        else rows
        for name, rows in tables.items()
    }
    _, parts = write(tmp_path / "parts", shuffled, index_event="discharge", parts=3)
    assert whole.equals(parts)
    assert bytes_of(tmp_path / "whole") == bytes_of(tmp_path / "parts")


def test_a_label_changes_the_contents(tmp_path, tables):
    _, before = write(tmp_path / "before", tables)
    tables["prediction_labels"] = tables["prediction_labels"].with_columns(label=~pl.col("label"))
    _, after = write(tmp_path / "after", tables)
    differs = before["content_sha256"] != after["content_sha256"]
    assert before.filter(differs)["modality"].to_list() == ["labels"]


def test_a_vocabulary_without_entries_is_one_error(tmp_path, tables):
    tables["series_features"] = tables["series_features"].clear()
    with pytest.raises(ValueError, match="series_features is empty"):
        write(tmp_path / "corpus", tables)


def test_a_checkpoint_of_other_vocabularies_is_refused(tmp_path, tables):
    write(tmp_path / "native", tables, index_event="discharge")
    write(tmp_path / "shared", tables, index_event="discharge", space=SHARED)
    native, shared = (json.loads((tmp_path / name / "corpus.json").read_text()) for name in ("native", "shared"))
    trained_on = deepcopy(native) | {"name": "pretrain_corpus"}
    check_vocabularies(native, trained_on)
    with pytest.raises(VocabularyMismatchError, match=r"space shared: series is 1 wide.*2 wide.*another feature space"):
        check_vocabularies(shared, trained_on)
    trained_on["inputs"]["drug_vocabulary"] = "an older version"
    with pytest.raises(VocabularyMismatchError, match=r"drug_vocabulary version an older version.*publish"):
        check_vocabularies(native, trained_on)
    del trained_on["sources"]["ehr"]["modalities"]["drug"]
    check_vocabularies(native, trained_on)
    trained_on["sources"]["ehr"]["modalities"]["demographics"]["size"] = 73
    with pytest.raises(VocabularyMismatchError, match=r"demographics is \d+ wide.*: 73 wide"):
        check_vocabularies(native, trained_on)
