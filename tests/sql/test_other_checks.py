"""Checks over records, features and results find exactly the rows that are planted wrong."""

IMAGE = "{:08d}-00000000-00000000-00000000-00000000"


def test_stays_of_a_record(database) -> None:
    stay = {"subject_id": 1, "hadm_id": 10, "in_time": "2180-01-02 00:00:00"}
    database.fill(
        {
            "ehr_records": [{"hadm_id": hadm, "subject_id": 1, "num_stays": 1} for hadm in (10, 11, 12)],
            "ehr_stays": [
                {**stay, "stay_id": 1, "stay_index": 0},
                {**stay, "stay_id": 2, "hadm_id": 11, "stay_index": 0},
                {**stay, "stay_id": 3, "hadm_id": 11, "stay_index": 1},
                {**stay, "stay_id": 4, "hadm_id": 12, "stay_index": 1},
                {**stay, "stay_id": 5, "hadm_id": 13, "stay_index": 0},
            ],
        }
    )
    assert database.run("checks/ehr_stays__inside_record.sql")["hadm_id"].to_list() == [11, 12, 13]


def test_codes_and_notes_of_another_subject(database) -> None:
    code = {"hadm_id": 10, "kind": "diagnosis", "icd_version": 9}
    database.fill(
        {
            "ehr_records": [{"hadm_id": 10, "subject_id": 1}],
            "ehr_codes": [
                {**code, "subject_id": 1, "code": "good"},
                {**code, "subject_id": 2, "code": "other"},
                {**code, "subject_id": 1, "code": "nowhere", "hadm_id": 11},
            ],
            "ehr_notes": [
                {"subject_id": 1, "hadm_id": 10, "note_id": "good"},
                {"subject_id": 2, "hadm_id": 10, "note_id": "other"},
            ],
        }
    )
    assert database.run("checks/ehr_codes__same_subject.sql")["code"].to_list() == ["other", "nowhere"]
    assert database.run("checks/ehr_notes__same_subject.sql")["note_id"].to_list() == ["other"]


def test_readings_outside_their_stay(database) -> None:
    reading = {"subject_id": 1, "stay_id": 100, "variable": "chart_1", "known_hours": 1.0}
    database.fill(
        {
            "ehr_stays": [{"subject_id": 1, "hadm_id": 10, "stay_id": 100}],
            "ehr_readings": [
                {**reading, "offset_hours": 47.9},
                {**reading, "offset_hours": 48.0, "variable": "chart_2"},
                {**reading, "offset_hours": 49.0, "variable": "chart_2"},
                {**reading, "offset_hours": -0.1, "variable": "chart_3"},
                {**reading, "offset_hours": 1.0, "stay_id": 101},
            ],
        }
    )
    assert database.run("checks/ehr_readings__inside_window.sql").rows() == [
        (100, "chart_2", 2, 49.0),
        (100, "chart_3", 1, -0.1),
        (101, "chart_1", 1, 1.0),
    ]


def test_images_without_their_report(database) -> None:
    image = {"subject_id": 1, "study_id": 50}
    films = [
        {**image, "record_id": IMAGE.format(1)},
        {**image, "record_id": IMAGE.format(2), "study_id": 51},
        {**image, "record_id": IMAGE.format(3), "subject_id": 2},
        {**image, "record_id": "another", "study_id": 51, "source": "elsewhere"},
    ]
    database.fill(
        {
            "mimic_cxr_films": films[:3],
            "cxr_records": films,
            "mimic_cxr__reports": [{**image, "text": "clear"}],
        }
    )
    assert database.run("checks/mimic_cxr_films__has_report.sql")["record_id"].to_list() == [
        IMAGE.format(2),
        IMAGE.format(3),
    ]
    assert database.run("checks/cxr_records__one_subject_per_study.sql").rows() == [
        (50, 2, ["cxr"]),
        (51, 1, ["cxr", "elsewhere"]),
    ]


def test_positions_beyond_their_vocabulary(database) -> None:
    database.fill(
        {
            "series_features": [{"feature_index": n} for n in range(2)],
            "ehr_series": [{"stay_id": 1, "bin": n, "feature_index": n} for n in range(3)],
            "static_features": [{"feature_index": 0}],
            "ehr_static": [{"stay_id": 1, "feature_index": n} for n in range(2)],
            "tokenizer_vocabulary": [{"token_index": n, "token": str(n)} for n in range(5)],
            "text_tokens": [
                {"source": "ehr", "text_id": "good", "token_indices": [2, 4]},
                {"source": "ehr", "text_id": "bad", "token_indices": [2, 5]},
                {"source": "ehr", "text_id": "none", "token_indices": []},
            ],
        }
    )
    assert database.run("checks/ehr_series__known_features.sql").rows() == [(2, 1)]
    assert database.run("checks/ehr_static__known_features.sql").rows() == [(1, 1)]
    assert database.run("checks/text_tokens__inside_vocabulary.sql")["text_id"].to_list() == ["bad"]


def test_retrieval_needs_chance_beside_it(database) -> None:
    number = {
        "task": "retrieval", "dataset": "mimic_cxr", "cohort": "unlinked", "mode": "native", "metric": "recall_at_k",
        "split": "retrieval_mimic_cxr", "seed": 0, "n": 100, "fingerprint": "f", "synthetic": True,
    }  # fmt: skip
    database.fill(
        {
            "retrieval_mimic_cxr": [
                {**number, "method": "medcsp", "k": 1, "value": 0.2},
                {**number, "method": "chance", "k": 1, "value": 0.01},
                {**number, "method": "medcsp", "k": 5, "value": 0.2},
                {**number, "method": "chance", "k": 10, "value": 1.2},
            ]
        }
    )
    failing = database.run("checks/retrieval_mimic_cxr__chance_beside.sql")
    assert failing.select("method", "k").rows() == [("chance", 10), ("medcsp", 5)]


def test_curves_are_of_groups_and_have_the_published_areas(database) -> None:
    """Two cells of ten positives: halves of 0.2 and 0.6, precision 0.9 and 0.5."""
    task = {"task": "prediction_arf", "dataset": "mimic_iv", "cohort": "ehr_holdout", "mode": "unbounded"}
    task |= {"split": "test", "n": 40, "num_positive": 10, "fingerprint": "f", "synthetic": True}
    cells = [{"false_positive_rate": 0.2, "precision": 0.9}, {"false_positive_rate": 0.6, "precision": 0.5}]
    curve = [
        {**task, **cell, "point": 1 + at, "recall": 0.5 + 0.5 * at, "num_seeds": 2} for at, cell in enumerate(cells)
    ]
    by_prompts = {"task": "zero_shot_covid19", "mode": "description", "split": "zero_shot_covid19"}
    number = {**task, "k": 0, "seed": -1, "value": 0.0}
    database.fill(
        {
            "curves": [
                *({**row, "method": method} for method in ("medcsp", "raim", "dcmn") for row in curve),
                *({**row, **by_prompts, "method": "clip"} for row in curve),
                *({**row, "method": "f_cnn", "n": 19} for row in curve),
                {**curve[0], "method": "bert_cnn", "recall": 1.0},
                {**curve[1], "method": "f_lstm"},
                *({**row, "method": "medhmp", "num_positive": 9} for row in curve),
            ],
            "prediction_arf": [
                *({**number, "method": method, "metric": "auroc", "value": 0.6} for method in ("medcsp", "raim")),
                {**number, "method": "medcsp", "metric": "auroc", "seed": 0, "value": 0.7},
                {**number, "method": "medcsp", "metric": "auroc", "k": 10, "value": 0.5},
                {**number, "method": "medcsp", "metric": "auprc", "value": 0.7},
                {**number, "method": "raim", "metric": "auprc", "value": 0.7001},
            ],
            "zero_shot_covid19": [
                {**number, **by_prompts, "method": "clip", "metric": metric, "seed": 3, "value": value}
                for metric, value in (("auroc", 0.6), ("auprc", 0.7))
            ],
        }
    )
    alone = database.run("checks/curves__nobody_alone.sql")
    assert alone["method"].to_list() == ["bert_cnn", "f_cnn", "f_lstm", "medhmp"]
    failing = database.run("checks/curves__areas_are_the_published.sql").select("method", "metric", "value").rows()
    assert ("raim", "auprc", 0.7001) in failing and ("dcmn", "auroc", None) in failing
    assert not {"medcsp", "clip"} & {method for method, *_ in failing} and ("raim", "auroc", 0.6) not in failing


def test_pretraining_records_without_history(database) -> None:
    row = {"source": "cxr", "subject_id": 1}
    database.fill(
        {
            "cohort_split": [
                {**row, "record_id": name, "study_id": 1, "split": split}
                for name, split in (("a", "pretrain"), ("b", "pretrain"), ("c", "unused"))
            ],
            "diagnosis_histories": [
                {**row, "record_id": "a", "num_codes": 0, "code_indices": []},
                {**row, "record_id": "b", "num_codes": 1, "code_indices": [0]},
                {**row, "record_id": "c", "num_codes": 0, "code_indices": []},
            ],
        }
    )
    warning = database.run("checks/warnings/diagnosis_histories__pretraining_without_history.sql")
    assert warning.rows() == [("cxr", "a")]
