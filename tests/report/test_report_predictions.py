"""Predictions on the page: figures, curves and tables from planted numbers, and what is said of what was not run."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl
import pytest

from data_contracts.labels import FLAGS, INDEX_EVENTS, INPUTS, TASKS
from lake import Lake
from medcsp_model.settings import PredictionEvaluation
from pipelines.features.prediction_questions import MODES
from pipelines.report import prediction_numbers, tripod_methods, tripod_study
from pipelines.report.content import BarGroup, Fold, GroupedBars, LineChart, Note, Part, Section, Table
from pipelines.report.lineage import trace
from pipelines.report.prediction_figures import LINE_ROLES
from pipelines.report.predictions import predictions_section
from pipelines.report.retrieval import retrieval_section
from pipelines.report.site import INPUTS as PAGE_INPUTS
from pipelines.report.tripod import tripod_section

NewLake = Callable[[Mapping[str, list[dict[str, Any]]]], Lake]


def parts_of(bands: tuple[tuple[Part, ...], ...]) -> Iterator[Part]:
    """Every part, those in folds too."""
    for band in bands:
        for part in band:
            yield part
            if isinstance(part, Fold):
                yield from parts_of(part.bands)


def named(section: Section, kind: type, caption: str) -> Any:
    """The first part of a kind whose caption begins so."""
    return next(part for part in parts_of(section.bands) if isinstance(part, kind) and part.caption.startswith(caption))


def cells(table: Table) -> dict[tuple[str, str], list[str]]:
    return {(r.label, r.detail): [f"{cell.text} {cell.detail}".strip() for cell in r.cells] for r in table.rows}


def group_of(chart: GroupedBars, title: str) -> BarGroup:
    return next(group for group in chart.groups if group.title == title)


@pytest.fixture(scope="module")
def section(planted: Lake) -> Section:
    return predictions_section(planted)


def told(lake: Lake, *, synthetic: list[str]) -> dict[str, str]:
    """What the study says, by item."""
    made = tripod_section(lake, trace(lake, PAGE_INPUTS), synthetic_sources=synthetic)
    rows = [row for table in parts_of(made.bands) if isinstance(table, Table) for row in table.rows]
    return {row.label: " ".join((row.cells[0].text, *row.cells[0].lines)) for row in rows}


@pytest.fixture(scope="module")
def study(planted: Lake) -> dict[str, str]:
    return told(planted, synthetic=[])


def test_figure_5_groups_methods_by_task(section: Section) -> None:
    chart = named(section, GroupedBars, "Figure 5, onset at any time: AUROC")
    assert [group.title for group in chart.groups] == ["Acute respiratory failure", "Shock", "Death in hospital"]
    shock = group_of(chart, "Shock")
    assert shock.detail == "62 events of 500" and shock.mark is None and chart.start == 0.5
    assert [bar.label for bar in shock.bars] == [
        *("MedCSP", "from scratch", "linear probe", "MedHMP", "F-LSTM", "F-CNN", "RAIM", "DCMN"),
        *("Boosted trees", "Logistic regression"),
    ]
    ours = shock.bars[0]
    assert (ours.role, ours.value, ours.low, ours.high) == ("ours", 0.81, 0.74, 0.866)
    assert ours.text == "MedCSP 0.810 (0.740 to 0.866)" and ours.text in chart.description


def test_a_random_order_stands_beside_aupr(section: Section) -> None:
    chart = named(section, GroupedBars, "Figure 5, onset at any time: AUPR")
    assert [group.mark for group in chart.groups] == [0.09, 0.134, 0.126], "above the prevalence"
    assert chart.mark == "chance" and chart.start == 0.0


def test_figure_6_has_readmission_with_and_without_codes(section: Section) -> None:
    chart = named(section, GroupedBars, "Figure 6, readmission: AUROC")
    assert [group.title for group in chart.groups] == ["To the ICU, with ICD codes", "To the ICU, without ICD codes"]
    assert [bar.label for bar in chart.groups[0].bars][4:8] == ["BertLstm", "BertStar", "LstmBert", "StarBert"]
    assert "Not run in this profile: BertEncoder, CnnBert, EncoderBert, BertCnn (To the ICU, without" in chart.note
    assert "Not available, for reasons given below: BertCnn (To the ICU, with ICD codes)." in chart.note
    assert chart.x.ticks[0] < 0.35 < 0.8 <= chart.x.ticks[-1], "what is worse than a coin is drawn too"


def test_what_was_not_run_is_said(section: Section) -> None:
    notes = [part.text for part in parts_of(section.bands) if isinstance(part, Note)]
    assert notes[0] == (
        "Not run in this profile: cohorts carevue_filtered, ehr_holdout; "
        "tasks acute kidney injury, readmission of any kind."
    )
    assert "no value of theirs is on record" in notes[1]
    table = named(section, Table, "Not available")
    assert cells(table) == {
        ("Readmission to the ICU, within 30 days", "metavision"): ["BertCnn", "MEDCSP_WEIGHTS/text lacks config.json"],
        ("Shock, at any time, shared feature space", "carevue"): ["MedCSP, MedHMP", "no example has the event"],
    }


def test_cohorts_stand_apart_with_what_has_to_be_said(section: Section) -> None:
    folds = [part for band in section.bands for part in band if isinstance(part, Fold)]
    assert [(fold.caption, fold.badge, fold.is_open) for fold in folds] == [
        ("metavision, MIMIC-III", "leaks", True),
        ("carevue, MIMIC-III, shared feature space", "leak-free", False),
    ]
    assert "MIMIC-IV holds them under other ids" in folds[0].note


def test_label_efficiency_ends_with_all_positives(section: Section) -> None:
    chart = named(section, LineChart, "Acute respiratory failure: label efficiency")
    assert [line.name for line in chart.lines] == [
        *("MedCSP", "MedCSP from scratch", "MedCSP linear probe", "Boosted trees"),
    ]
    ours, scratch = chart.lines[:2]
    assert [(point.x, round(point.y, 2)) for point in ours.points] == [(10, 0.68), (30, 0.75), (100, 0.81), (320, 0.84)]
    assert round(scratch.points[0].y, 2) == 0.44
    assert chart.x.ticks == (10, 30, 100, 320) and "the mean of 3 draws of them" in chart.note


def test_treating_everybody_is_cut_where_it_leaves_the_sheet(section: Section) -> None:
    chart = named(section, LineChart, "Acute respiratory failure: net benefit")
    lines = {line.name: line.points for line in chart.lines}
    assert list(lines) == ["MedCSP", "Boosted trees", "Logistic regression", "everybody", "nobody"]
    assert [point.x for point in lines["MedCSP"]] == [5, 10, 20, 30]
    assert [point.y for point in lines["nobody"]] == [0, 0]
    first, last = lines["everybody"]
    assert first.y > lines["MedCSP"][0].y and last.y < 0 and 5 < last.x < 10


def test_every_number_is_in_a_table(section: Section) -> None:
    numbers = cells(named(section, Table, "All methods and tasks (60)"))
    assert numbers["MedCSP", "Acute respiratory failure, at any time"] == [
        "0.840 0.770 to 0.896",
        "0.830 to 0.850 3 seeds",
        "0.353 0.263 to 0.425",
        "0.363 0.273 to 0.435",
        "0.840 0.820 to 0.856",
        "0.340 0.320 to 0.356",
    ]
    assert numbers["RAIM", "Acute respiratory failure, at any time"][-2:] == ["–", "–"]
    assert numbers["Random order", "Acute respiratory failure, at any time"] == ["–", "–", "0.090", "–", "–", "0.250"]
    calibration = cells(named(section, Table, "Calibration"))
    shock = calibration["F-CNN", "Shock, at any time"]
    assert shock[:2] == ["0.840 0.540 to 1.080", "−0.060 −0.460 to 0.260"] and shock[3] == "0.030"


def test_small_subgroups_stand_back_and_tiny_ones_are_not_told(section: Section) -> None:
    table = named(section, Table, "Subgroups")
    rows = [row for row in table.rows if row.detail == "Acute respiratory failure"]
    assert [(row.label, row.cells[0].text, row.is_muted) for row in rows] == [
        ("age: under 45", "of fewer than 10", True),
        ("age: 45 to 64", "37 of 370", False),
        ("sex: female", "9 of 90", True),
        ("sex: male", "31 of 310", False),
    ]
    assert [cell.text for cell in rows[0].cells[1:]] == ["–"] * 5, "so few patients are told by nothing"
    assert [cell.text for cell in rows[2].cells[1:]] == ["10.0 %", *["–"] * 4], "so few events have no area"
    assert "–" not in [cell.text for cell in rows[1].cells]


def test_declared_comparisons_are_tested_and_others_are_not(section: Section) -> None:
    declared = named(section, Table, "Comparisons declared beforehand")
    first = "Acute respiratory failure, at any time"
    assert [(row.label, row.detail) for row in declared.rows][:4] == [
        ("MedCSP less MedCSP from scratch", first),
        ("MedCSP less MedHMP", first),
        ("MedCSP less Boosted trees", first),
        ("MedCSP less MedCSP from scratch", f"{first}, five-fold"),
    ]
    assert cells(declared)["MedCSP less MedHMP", first] == [
        *("+0.050", "−0.010 to +0.100", "3", "40 of 500", "0.012", "0.036"),
    ]
    assert cells(declared)["MedCSP less MedCSP from scratch", first][-2:] == ["below 0.001", "below 0.001"]
    assert cells(declared)["MedCSP less MedHMP", f"{first}, five-fold"][2:] == ["1", "40 of 500", "–", "–"]
    assert declared.badges == ("few seeds",)
    assert (
        "of these two networks and not of the methods. Fewer than 5 do not tell how far trainings spread, and have no p"
        in declared.note
    )
    assert "within a task, cohort, horizon (with or without codes) and split, and not across these" in declared.note
    few = named(section, Table, "What pre-training brings")
    assert few.badges == () and {row.cells[2].text for row in few.rows} == {"20"}
    assert [row.detail.split(", ")[-1] for row in few.rows] == [f"{k} positives" for k in (10, 30, 100)]
    others = named(section, Table, "Other differences (1)")
    assert [column.label for column in others.columns] == ["Difference", "95 % interval", "Trainings", "Events"]
    assert others.is_folded


def test_transfer_stands_beside_training_there(section: Section) -> None:
    rows = cells(named(section, Table, "Transfer"))
    ours = rows["MedCSP", "Acute respiratory failure, at any time, shared feature space; carevue"]
    assert [text.split()[0] for text in ours] == ["0.730", "0.266", "0.790", "0.312"]


def test_the_head_of_the_page_has_the_task_with_most_events(section: Section) -> None:
    (key,) = section.key_numbers
    assert (key.label, key.value, key.badge) == ("AUROC, shock", "0.810", "synthetic data")
    assert key.detail == "95 % interval 0.740 to 0.866; boosted trees 0.780; 62 events of 500; metavision"


def test_predictions_are_no_retrieval(planted: Lake) -> None:
    tables = [part for part in parts_of(retrieval_section(planted).bands) if isinstance(part, Table)]
    assert [table.caption.split(",")[0] for table in tables] == [
        "Text to image on MIMIC-CXR",
        "Text to image on Open-I",
    ]


def test_the_study_is_told_in_order(study: dict[str, str]) -> None:
    numbers = [label.split()[0].rstrip(",") for label in study]
    assert numbers == [
        *("3", "5a", "5b", "6", "7", "8", "9", "10", "11", "12a", "12c", "12e", "13", "14", "15", "16", "17"),
        *("20", "21", "23a", "23b", "26", "27"),
    ]
    assert "fitted on pre-training patients alone" in study["7 Data preparation"]
    assert "16 rows of these examples were kept back" in study["9 Predictors"], "those of other cohorts left out"
    assert "4 features in the native space and 0 features in the shared space" in study["9 Predictors"]
    assert "examples lack demographics for 25.0 % and hourly readings for 0.0 %" in study["11 Missing data"]
    assert "of those with an example 1 train, 1 choose settings, 1 are tested" in study["12a Use of the data"]
    assert "batch sizes 32 and 64 and learning rates 0.0002 and 0.002" in study["12c Models"]
    assert "10,000 draws" in study["12e Measures"] and "age and sex" in study["14 Fairness"]
    assert "here those with MedCSP from scratch, MedHMP and Boosted trees. 3 of their 6" in study["12e Measures"]
    assert "Checkpoints: pretrain_checkpoint, " in study["17 to 19 Open science"]
    assert "and pretrain_checkpoint_shared, version" in study["17 to 19 Open science"]
    assert "4 admissions with an example, median age 41.5 years, 50.0 % female" in study["20 Participants"]
    assert "metavision: AUROC 0.840 (0.770 to 0.896), boosted trees 0.810" in study["23a Performance"]
    assert "metavision leaks" in study["26 Limitations"] and "0.126 wide" in study["26 Limitations"]


def test_a_synthetic_study_says_so(planted: Lake) -> None:
    study = told(planted, synthetic=["mimic_iii"])
    assert "hold no patient" in study["5a Sources of data"] and study["5b Dates"].startswith("Invented")
    assert "Cohorts are synthetic" in study["26 Limitations"] and "leaks" not in study["26 Limitations"]


def test_only_what_was_measured_is_told(study: dict[str, str]) -> None:
    assert "counted at any time and within 48 h after" in study["8 Outcome"].partition("Shock")[0]
    assert "kidney" not in " ".join(study.values()) and "readmission of any kind" not in " ".join(study.values())


def test_a_run_of_ours_and_simple_references_names_no_published_method(planted: Lake, new_lake: NewLake) -> None:
    rows = planted.scan("metrics").filter(pl.col("task").str.starts_with("prediction_")).collect().to_dicts()
    simple = ("medcsp", "medcsp_scratch", "gradient_boosting")
    study = told(new_lake({"metrics": [row for row in rows if row["method"] in simple]}), synthetic=[])
    objectives = study["3, 4 Background and objectives"]
    assert "with training from scratch and simple references. Development" in objectives


def test_areas_of_groups_with_few_of_either_class_are_in_no_sentence(planted: Lake, new_lake: NewLake) -> None:
    rows = planted.scan("metrics").filter(pl.col("task").str.starts_with("prediction_")).collect().to_dicts()
    crowded = [row for row in rows if row["split"] == "test/sex=M"]
    crowded = [{**row, "split": "test/sex=F", "n": row["num_positive"] + 9, "value": 0.99} for row in crowded]
    others = [row for row in rows if row["split"] != "test/sex=F"]
    study = told(new_lake({"metrics": [*others, *crowded]}), synthetic=[])
    assert (
        "over 2 groups with at least 10 events and 10 examples without one" in study["23b Differences between groups"]
    )
    assert "0.990" not in study["23b Differences between groups"]


def test_no_prediction_is_said(planted: Lake, new_lake: NewLake) -> None:
    metrics = [row for row in planted.scan("metrics").collect().to_dicts() if not row["task"].startswith("prediction_")]
    lake = new_lake({"metrics": metrics, "prediction_comparisons": [], "prediction_methods": []})
    section = predictions_section(lake)
    assert [part.text for part in parts_of(section.bands) if isinstance(part, Note)] == [
        "No prediction task was evaluated in this run."
    ]
    assert section.key_numbers == ()
    (note,) = parts_of(tripod_section(lake, trace(lake, PAGE_INPUTS), synthetic_sources=[]).bands)
    assert isinstance(note, Note) and "there is no study to report" in note.text


def test_everything_that_can_be_published_has_words() -> None:
    known = PredictionEvaluation()
    assert set(prediction_numbers.METHOD_TITLES) == set(known.methods)
    assert set(known.few_methods) <= set(LINE_ROLES)
    assert set(prediction_numbers.EXPECTED) == set(TASKS) == set(tripod_methods.OUTCOMES)
    assert {mode: name for name, mode in MODES.items()} == tripod_study.HORIZONS
    assert set(MODES.values()) == set(prediction_numbers.HORIZONS)
    assert set(tripod_methods.INPUT_WORDS) == set(INPUTS) and set(tripod_methods.FLAG_WORDS) == set(FLAGS)
    assert set(tripod_methods.MOMENTS) == set(INDEX_EVENTS)
