"""Curves on the pages: which methods, with which areas, as steps; and how long a small model was trained, beside it."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
from prediction_rows import POSITIVES, prediction_curves

from data_contracts.evaluation import METHODS
from lake import Lake
from pipelines.report import Site
from pipelines.report.charts import Drawing, draw
from pipelines.report.content import Fold, LineChart, Note, Section, Table
from pipelines.report.curves import Curve, curve_charts, read_curves
from pipelines.report.efforts import read_efforts
from pipelines.report.methods import TITLES, metric_title, title
from pipelines.report.predictions import predictions_section
from pipelines.report.retrieval import _chart, retrieval_section
from pipelines.report.x_ray_tables import x_rays_section
from pipelines.report.zero_shot import zero_shot_section
from pipelines.report.zero_shot_curves import curve_bands

NewLake = Callable[[Mapping[str, list[dict[str, Any]]]], Lake]
PLACE = ("zero_shot_covid19", "covid19", "covid_or_normal", "description")


@pytest.fixture(scope="module")
def predictions(planted: Lake) -> Section:
    return predictions_section(planted)


def folds(section: Section) -> list[Fold]:
    """The folds of curves, cohort by cohort."""
    cohorts = [part for band in section.bands for part in band if isinstance(part, Fold)]
    inside = [part for fold in cohorts for band in fold.bands for part in band if isinstance(part, Fold)]
    return [fold for fold in inside if fold.caption == "ROC and precision-recall curves"]


def names(chart: LineChart) -> list[str]:
    return [line.name for line in chart.lines]


def area(chart: LineChart, at: int) -> float:
    """Area under a line, by trapezoids: a step has none of its own."""
    points = chart.lines[at].points
    return float(np.trapezoid([point.y for point in points], [point.x for point in points]))


def test_every_task_has_both_curves_of_a_handful_of_methods(predictions: Section) -> None:
    (metavision, carevue) = folds(predictions)
    assert [[part.caption for part in band] for band in metavision.bands] == [
        [f"{task}: ROC curve", f"{task}: precision and recall"]
        for task in ("Acute respiratory failure", "Shock", "Death in hospital", "Readmission to the ICU")
    ]
    (note,) = [part for band in carevue.bands for part in band]
    assert isinstance(note, Note) and note.text.startswith("No curve of Acute respiratory failure: fewer than ten")
    roc, precision = metavision.bands[0]
    assert isinstance(roc, LineChart) and isinstance(precision, LineChart)
    assert names(roc) == [
        *("MedCSP 0.840", "MedCSP from scratch 0.760", "MedHMP 0.790", "Boosted trees 0.810"),
        *("Logistic regression 0.770", "Chance"),
    ], "of the published baselines the best alone"
    assert names(precision)[-1] == f"Prevalence {POSITIVES['prediction_arf'] / 500:.3f}"
    assert roc.badges == precision.badges == ("synthetic", "few seeds")
    assert "40 of 500 are positive; a step is the mean of 5 positives or more and of 3 trainings." in roc.note


def test_drawn_lines_have_the_areas_beside_their_names(predictions: Section) -> None:
    for band in folds(predictions)[0].bands:
        for chart in band:
            assert isinstance(chart, LineChart)
            for at, name in enumerate(names(chart)):
                said = 0.5 if name == "Chance" else float(name.split()[-1])
                assert area(chart, at) == pytest.approx(said, abs=6e-4), (chart.caption, name)
            drawing = draw(chart)
            assert isinstance(drawing, Drawing) and len(drawing.traces) == len(chart.lines)


def test_a_curve_is_put_in_words(predictions: Section) -> None:
    roc, precision = folds(predictions)[0].bands[0]
    assert isinstance(roc, LineChart) and isinstance(precision, LineChart)
    assert roc.description.startswith("MedCSP: false positive rate 0.060 at recall 0.25; false positive rate 0.140")
    assert "MedHMP: precision" in precision.description


def test_a_single_training_says_nothing_of_seeds() -> None:
    rows = [row | {"num_seeds": 1} for row in prediction_curves("f", "g") if row["method"] == "medcsp"]
    one = Curve(name="MedCSP", role="main", rows=rows[:8], auroc=None, auprc=None)
    roc, _ = curve_charts([one], what="Shock", how="Prompts: name.")
    assert "training" not in roc.note and roc.note.endswith("positives or more. Prompts: name.")
    assert names(roc) == ["MedCSP", "Chance"]


def test_classification_draws_native_and_folds_the_released_harness_away(planted: Lake) -> None:
    section = zero_shot_section(planted)
    charts = [part for band in section.bands for part in band if isinstance(part, LineChart)]
    assert [chart.caption for chart in charts] == [
        f"COVID-19 against normal: {curve}" for curve in ("ROC curve", "precision and recall")
    ]
    assert names(charts[0]) == [
        "MedCSP 0.800",
        "CLIP, small (contaminated; 50 steps of 8; ours 300 of 32) 0.600",
        "Chance",
    ]
    (fold,) = [part for band in section.bands for part in band if isinstance(part, Fold)]
    assert fold.caption == "COVID-19 against normal: curves in the released harness" and len(fold.bands[0]) == 2


def test_classification_draws_ours_and_the_four_largest_areas(planted: Lake) -> None:
    points = read_curves(planted)[PLACE]["medcsp"]
    others = ("clip", "biomedclip", "medclip", "cxr_clip", "llava_med", "medcsp_released")
    areas = dict(zip(others, (0.5, 0.9, 0.6, 0.7, 0.55, 0.85), strict=True)) | {"medcsp": 0.4}
    rows = [
        {"task": PLACE[0], "mode": "description", "metric": "auroc", "method": name, "value": value}
        for name, value in areas.items()
    ]
    ((roc, _),) = curve_bands(rows, {PLACE: dict.fromkeys(areas, points)}, what="COVID-19", name=str)
    assert isinstance(roc, LineChart)
    shown = ["medcsp 0.400", "medcsp_released 0.850", "medclip 0.600", "biomedclip 0.900", "cxr_clip 0.700", "Chance"]
    assert sorted(names(roc)) == sorted(shown) and names(roc)[0] == "medcsp 0.400"
    ((note,),) = curve_bands(rows, {}, what="COVID-19", name=str)
    assert isinstance(note, Note) and "fewer than ten" in note.text


def test_small_models_say_how_long_they_were_trained(planted: Lake, site: Site) -> None:
    efforts = read_efforts(planted)
    assert {name: effort.words for name, effort in efforts.items()} == {
        "medcsp": "300 steps of 32",
        "clip_small": "50 steps of 8",
    }
    retrieval = retrieval_section(planted)
    tables = [part for band in retrieval.bands for part in band if isinstance(part, Table)]
    (small,) = [row for table in tables for row in table.rows if row.label == "CLIP, small"]
    assert small.detail == "n = 60 reports; 50 steps of 8; ours 300 of 32"
    (chart,) = [
        part
        for band in retrieval.bands
        for part in band
        if isinstance(part, LineChart) and "CLIP, small" in names(part)
    ]
    assert chart.note.endswith("Trained here: MedCSP 300 steps of 32; CLIP, small 50 steps of 8.")
    summary = re.sub(r"<[^>]+>|\s+", " ", site.pages["index.html"])
    assert re.search(r"CLIP, small .{0,60}1 training, 50 steps of 8", summary)
    assert re.search(r"MedCSP .{0,60}1 training, 300 steps of 32", summary)


def test_no_page_shows_a_method_by_its_raw_name(site: Site) -> None:
    assert set(METHODS) <= set(TITLES), "a method without a title"
    raw = {name for name in METHODS if "_" in name}
    for file, html in site.pages.items():
        text = re.sub(r"<style.*?</style>", "", html, flags=re.S)
        shown = set(re.findall(r"\w+", re.sub(r"<[^>]+>", " ", text))) & raw
        assert shown == set(), f"{file} shows {shown}"


def test_a_retrieval_chart_has_a_colour_for_each_method_and_says_who_is_left_out(planted: Lake) -> None:
    ours = planted.scan("metrics").filter(pl.col("task") == "retrieval_mimic_cxr").collect()
    ours = ours.filter(pl.col("method").cast(pl.String).is_in(["medcsp", "chance"]), pl.col("metric") == "recall_at_k")
    share = {"clip": 0.1, "medclip": 0.5, "biomedclip": 0.4, "pubmedclip": 0.3, "cxr_clip": 0.2, "llava_med": 0.6}
    row = ours.filter(pl.col("method").cast(pl.String) == "medcsp").with_columns(pl.col("method").cast(pl.String))
    others = [row.with_columns(method=pl.lit(name), value=pl.col("value") * part) for name, part in share.items()]
    rows = pl.concat([ours.with_columns(pl.col("method").cast(pl.String)), *others])
    ks = tuple(sorted(set(rows["k"].to_list())))
    chart = _chart(
        rows, metric="recall_at_k", ks=ks, size="240 reports", where="MIMIC-CXR", has_paper=False, trained={}
    )
    assert len({line.role for line in chart.lines}) == len(chart.lines) == 6
    drawn = {line.name for line in chart.lines}
    assert not drawn & {title("clip"), title("cxr_clip")}
    assert {title("llava_med"), title("medclip")} <= drawn
    assert "the 4 that find most" in chart.note


def test_every_search_says_what_it_searched(planted: Lake) -> None:
    bands = retrieval_section(planted).bands
    charts = [part.caption for band in bands for part in band if isinstance(part, LineChart)]
    assert charts == [
        *("MIMIC-CXR: precision at K", "MIMIC-CXR: recall at K"),
        "Open-I: recall at K",
    ]
    tables = [part.caption for band in bands for part in band if isinstance(part, Table)]
    assert tables[0].endswith("240 reports search 400 images") and tables[1].endswith("60 reports")


def test_differences_that_nobody_declared_have_no_p(planted: Lake) -> None:
    tables = [part for band in x_rays_section(planted).bands for part in band if isinstance(part, Table)]
    declared, others = (table for table in tables if table.caption.startswith("Differences"))
    assert [column.label for column in declared.columns][3:] == ["p", "p, Holm", "n"]
    assert [column.label for column in others.columns] == ["Metric", "Difference", "95 % interval", "n"]
    assert "Intervals alone" in others.note and "what another training of either model" in declared.note


def test_measures_of_a_whole_list_have_names() -> None:
    assert [metric_title(*each) for each in (("hit_at_k", 5), ("mrr", 0), ("map", 0))] == ["Hit@5", "MRR", "MAP"]


def test_subgroups_say_how_many_positives_and_tell_nothing_of_a_few(planted: Lake) -> None:
    """An AUROC of 1.000 from one positive of fifteen is that film's rank: a lake that still holds one shows none."""
    parts = [part for band in zero_shot_section(planted).bands for part in band]
    (table,) = [part for part in parts if isinstance(part, Table) and part.caption.endswith("subgroups")]
    heads, rows = [column.label for column in table.columns], {row.detail: row for row in table.rows}
    assert heads[:3] == ["Positives", "Called positive", "AUROC"]
    shown = {detail: [cell.text for cell in row.cells[:3]] for detail, row in rows.items()}
    assert shown == {
        "age: 65 to 79": ["1 of 15", "0.400", ""],
        "age: 65 to 79; released harness": ["1 of 15", "0.400", ""],
        "sex: female": ["24 of 54", "", "0.770"],
        "sex: female; released harness": ["24 of 54", "", "0.660"],
    }
    assert {detail for detail, row in rows.items() if row.is_muted} == {detail for detail in rows if "age" in detail}


def test_the_page_says_what_the_mean_over_prompt_sets_holds(planted: Lake) -> None:
    tables = [part for band in zero_shot_section(planted).bands for part in band if isinstance(part, Table)]
    (mean,) = [table for table in tables if table.caption.endswith("mean over prompt sets")]
    assert mean.note == (
        "The mean is over 2 of 3 prompt sets: description, name. Left out, since they ask for another finding: "
        "signs (signs of viral pneumonia)."
    )
    (sets,) = [table for table in tables if table.caption.endswith("every prompt set")]
    details = {row.detail for row in sets.rows if row.label == "MedCSP"}
    assert details == {f"{name}, asks for COVID-19" for name in ("description", "name")}
