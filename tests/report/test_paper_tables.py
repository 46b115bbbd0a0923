"""The paper's cells: what ours are taken from, what is printed beside them, and what is said of each."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from data_contracts import CONTRACTS
from data_contracts.evaluation import BADGES, EXHIBITS, PaperTables
from lake import Lake
from pipelines.report.content import Cell, Row, Section, Table
from pipelines.report.exhibits import column_name, paper_tables
from pipelines.report.formats import interval
from pipelines.report.lineage import trace
from pipelines.report.methods import columns_in_order, split_column
from pipelines.report.paper import paper_section
from pipelines.report.paper_numbers import TABLE_1, printed

Found = dict[str, Any]
OWN_WAY = "Table 2: text to image retrieval: MIMIC-CXR, all views, as its authors run each model"


@pytest.fixture(scope="module")
def rows(planted: Lake) -> list[Found]:
    frame = paper_tables(planted, headline="description", is_synthetic=True)
    assert not frame.select(PaperTables.key).is_duplicated().any()
    return PaperTables.validate(frame).to_dicts()


@pytest.fixture(scope="module")
def section(planted: Lake) -> Section:
    return paper_section(planted, trace(planted, ["paper_tables"]))


def cell(rows: list[Found], exhibit: str, panel: str, row: str, column: str) -> Found:
    names = ("exhibit", "panel", "row", "column")
    (found,) = [each for each in rows if tuple(each[name] for name in names) == (exhibit, panel, row, column)]
    return found


def test_every_exhibit_has_a_row_and_every_empty_cell_a_reason(rows: list[Found]) -> None:
    assert {row["exhibit"] for row in rows} == set(EXHIBITS)
    assert all((row["value"] is None) == (row["reason"] is not None) for row in rows)
    assert all((row["value"] is None) == ("not available" in row["badges"]) for row in rows)
    assert {badge for row in rows for badge in row["badges"]} == set(BADGES)


def test_table_1_counts_who_pre_trains(rows: list[Found]) -> None:
    ours = cell(rows, "table_1", "pretrain", "ehr", "patients")
    assert (ours["value"], ours["paper_value"], ours["asset"]) == (10, TABLE_1["ehr_patients"], "cohort_split")
    assert cell(rows, "table_1", "pretrain", "cxr", "records")["value"] == 21
    assert cell(rows, "table_1", "mimic_iii/metavision", "arf", "events")["value"] == 6
    assert cell(rows, "table_1", "mimic_iii/metavision", "shock", "events")["reason"] is not None


def test_x_rays_stand_beside_the_printed_number(rows: list[Found], planted: Lake) -> None:
    checkpoint = planted.manifest("pretrain_checkpoint")
    assert checkpoint is not None
    ours = cell(rows, "table_2", "mimic_cxr/all_views/native", "medcsp", "recall_at_10")
    assert ours["value"] == 0.5 and ours["paper_value"] == 0.2951 and ours["num_seeds"] == 1
    assert ours["fingerprint"] == checkpoint.fingerprint
    assert ours["badges"] == ["synthetic", "few seeds"]
    open_i = [row for row in rows if row["exhibit"] == "table_5" and row["value"] is not None]
    assert {row["panel"] for row in open_i} == {"open_i/all_views/native"}, "images that search are not the paper's"


def test_headline_prompts_mean_and_what_sees_no_image_stand_apart(rows: list[Found]) -> None:
    here = "covid19/covid_or_normal"
    assert cell(rows, "table_3", f"{here}/native", "medcsp", "f1")["paper_value"] == 0.6236
    assert cell(rows, "table_3", f"{here}/native, mean over prompts", "medcsp", "auroc")["value"] == 0.8
    assert cell(rows, "table_3", f"{here}/paper, mean over prompts", "clip_small", "f1")["value"] == pytest.approx(0.4)
    chance = cell(rows, "table_3", f"{here}/sees no image", "chance", "f1")
    assert chance["num_seeds"] is None and chance["badges"] == ["synthetic"]
    assert "contaminated" in cell(rows, "table_3", f"{here}/native", "clip_small", "f1")["badges"]
    assert not any(row["exhibit"] == "table_3" and "lung" in row["panel"] for row in rows)


def test_models_trained_here_say_their_steps_and_who_has_few(rows: list[Found]) -> None:
    found = [cell(rows, "table_3", "covid19/covid_or_normal/native", name, "f1") for name in ("clip_small", "medcsp")]
    assert [(row["num_steps"], row["batch_size"]) for row in found] == [(50, 8), (300, 32)]
    assert ["few steps" in row["badges"] for row in found] == [True, False], "50 of 300 steps"
    others = [row for row in rows if row["row"] not in ("clip_small", "medcsp") or row["exhibit"].startswith("figure")]
    assert {row["num_steps"] for row in others} == {None}


def test_what_is_not_available_says_what_the_evaluation_said(rows: list[Found]) -> None:
    clip = cell(rows, "table_2", "mimic_cxr/all_views/native", "clip", "precision_at_1")
    assert clip["paper_value"] == 0.0017 and "MEDCSP_WEIGHTS" in clip["reason"]
    other = cell(rows, "table_2", "mimic_cxr/all_views/native", "medclip", "precision_at_1")
    assert "does not name it in radiology.methods" in other["reason"]
    assert len([row for row in rows if row["exhibit"] == "table_6"]) == len(printed("zero_shot_chexpert"))
    variant = [row for row in rows if row["exhibit"] == "table_4" and row["row"] == "medcsp_llm"]
    assert [(row["column"], row["paper_value"]) for row in variant] == [("recall_at_100", 0.1619)]
    assert variant[0]["badges"] == ["not available"] and "radiology.methods" in variant[0]["reason"]


def test_table_4_is_the_variant_with_a_language_model_beside_llava_med(
    new_lake: Callable[[dict[str, list[Found]]], Lake],
) -> None:
    lake = new_lake({})
    metrics = lake.scan("metrics").collect()
    searched = metrics.filter(pl.col("task") == "retrieval_mimic_cxr", pl.col("method") == "medcsp", pl.col("k") <= 10)
    variant = searched.with_columns(pl.lit("medcsp_llm").cast(metrics.schema["method"]).alias("method"))
    lake.publish(CONTRACTS["metrics"], pl.concat([metrics, variant]), code_version="c0de" * 4, inputs={}, settings={})
    rows = paper_tables(lake, headline="description", is_synthetic=True).to_dicts()
    panel = "mimic_cxr/all_views/native"
    assert cell(rows, "table_4", panel, "medcsp_llm", "recall_at_10")["value"] == 0.5
    assert cell(rows, "table_4", panel, "medcsp_llm", "precision_at_10")["paper_value"] is None
    beyond = cell(rows, "table_4", panel, "medcsp_llm", "recall_at_100")
    assert (beyond["value"], beyond["paper_value"]) == (None, 0.1619) and "fewer images" in beyond["reason"]
    rival = {
        row["column"]: row["paper_value"] for row in rows if row["exhibit"] == "table_4" and row["row"] == "llava_med"
    }
    assert len(rival) == 12 and (rival["precision_at_1"], rival["recall_at_100"]) == (0.0017, 0.07)


def test_figures_take_means_over_seeds(rows: list[Found]) -> None:
    arf = cell(rows, "figure_5", "prediction_arf/mimic_iii/metavision/unbounded", "medcsp", "auroc")
    assert arf["value"] == pytest.approx(0.84) and arf["num_seeds"] == 3 and "few seeds" in arf["badges"]
    assert not any("transfer" in row["panel"] or "cross" in row["panel"] for row in rows)
    ours = cell(rows, "figure_7", "planted/text_to_image", "a_p_d", "recall_at_10")
    assert ours["value"] == 0.5 and ours["num_seeds"] == 2
    assert "few steps" not in ours["badges"], "planted trainings have a length of their own"
    purity = cell(rows, "figure_8", "pretrain_corpus/patients", "a", "knn_purity_at_10")
    assert purity["asset"] == "case_studies" and purity["num_seeds"] == 1
    assert cell(rows, "figure_8", "pretrain_corpus/patients", "chance", "knn_purity_at_10")["num_seeds"] is None


def test_figure_7_has_its_own_measure(rows: list[Found], section: Section) -> None:
    recipe = cell(rows, "figure_7", "zero_shot_covid19", "a_p_d", "f1")
    assert (recipe["value"], recipe["paper_value"]) == (0.6, 0.6236), "Table 3 prints it of the whole recipe"
    assert recipe["badges"] == ["synthetic", "few seeds", "few steps"], "40 of 300 steps"
    less = cell(rows, "figure_7", "zero_shot_covid19", "a", "f1_below_the_recipe")
    assert (less["value"], less["paper_value"], less["num_seeds"]) == (0.2, None, 2)
    printed_alone = cell(rows, "figure_7", "zero_shot_covid19", "a_p", "f1_below_the_recipe")
    assert printed_alone["paper_value"] == 0.1156 and "does not train it" in printed_alone["reason"]
    constant = cell(rows, "figure_7", "zero_shot_covid19", "all_positive", "f1")
    assert constant["badges"] == ["synthetic"] and constant["num_seeds"] is None
    tables = [part for band in section.bands for part in band if isinstance(part, Table)]
    shown = next(table for table in tables if table.caption == "Figure 7: ablation: COVID-19 against normal films")
    assert shown.note.endswith("An F1 near that of all positive, which looks at no film, says nothing.")
    assert shown.rows[0].label == "A + P + D"


def test_films_that_no_variant_classified_have_the_manifests_reason(
    new_lake: Callable[[dict[str, list[Found]]], Lake],
) -> None:
    lake = new_lake({"ablation_comparisons": [], "ablation_trials": []})
    metrics = lake.scan("metrics").filter(pl.col("task") != "ablation").collect()
    lake.publish(CONTRACTS["metrics"], metrics, code_version="c0de" * 4, inputs={}, settings={})
    for extra, reason in (
        ({}, "trains no variant on the corpus"),
        ({"not_available": "the profile asks for no variant"}, "asks for no variant"),
        ({"not_measured": {"zero_shot": "covid19 is not available"}}, "covid19 is not available"),
    ):
        nothing = CONTRACTS["ablation"].create_empty()
        named = {"inputs": {}, "settings": {"extra": str(extra)}, "extra": extra}
        lake.publish(CONTRACTS["ablation"], nothing, code_version="c0de" * 4, **named)
        found = paper_tables(lake, headline="description", is_synthetic=True).to_dicts()
        for variant, column in (("a_p_d", "f1"), ("a_p", "f1_below_the_recipe")):
            missing = cell(found, "figure_7", "zero_shot_covid19", variant, column)
            assert missing["paper_value"] and reason in missing["reason"]


def test_a_cell_shows_both_numbers_and_leads_to_its_lineage(section: Section) -> None:
    tables = [part for band in section.bands for part in band if isinstance(part, Table)]
    table = next(table for table in tables if table.caption == OWN_WAY)
    ours = table.rows[0]
    shown = ours.cells[[column.label for column in table.columns].index("R@10")]
    assert (shown.text, shown.lines, shown.detail) == ("50.00", ("42.5–56.0",), "paper 29.51")
    assert shown.target == "table-retrieval_mimic_cxr" and "n = 240" in shown.title
    clip = next(row for row in table.rows if row.label == "CLIP")
    assert clip.badges == ("not available",) and clip.cells[0] == Cell(text="–", detail="paper 0.17")
    counted = next(table for table in tables if table.caption.endswith("pre-training"))
    assert counted.rows[0] == Row(
        label="EHR",
        cells=(
            Cell(text="10", detail="paper 32,355", target="table-cohort_split", title="from cohort_split"),
            Cell(text="14", detail="paper 41,230", target="table-cohort_split", title="from cohort_split"),
            Cell(),
        ),
    )


def test_the_papers_own_panel_stands_first_and_open_in_plain_words(section: Section) -> None:
    tables = [part for band in section.bands for part in band if isinstance(part, Table)]
    own = next(table for table in tables if table.caption.startswith("Figure 5"))
    assert own.caption == "Figure 5: the critically ill: acute respiratory failure, MIMIC-III, metavision, at any time"
    assert not own.is_folded
    cohorts = next(table for table in tables if table.caption.endswith("cohorts: MIMIC-III, metavision"))
    assert cohorts.note.endswith("The paper’s readmission row has the size of FIDDLE’s mortality cohort at 48 h.")
    captions = " ".join(table.caption for table in tables)
    assert "_" not in captions and "unbounded" not in captions and "native" not in captions


def test_ends_below_zero_stand_apart_from_the_dash() -> None:
    assert [interval(0.1, 0.25), interval(-0.516, -0.011)] == ["10.0–25.0", "−51.6 to −1.1"]


def test_columns_stand_by_metric_and_cut_off() -> None:
    columns = ["recall_at_10", "recall_at_5", "precision_at_100", "f1", "knn_purity_at_10"]
    assert columns_in_order(columns) == ["precision_at_100", "recall_at_5", "recall_at_10", "f1", "knn_purity_at_10"]
    assert split_column(column_name("recall_at_k", 10)) == ("recall_at_k", 10)
    assert split_column(column_name("knn_purity", 10)) == ("knn_purity", 10)
