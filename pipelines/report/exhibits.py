"""The paper's tables and figures as rows: our number, the printed one, and what has to be said of it.

Takes numbers from published tables; computes none but counts of rows and of seeds. Not here: what a cell looks like
(`paper`).
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from data_contracts.evaluation import PaperTables
from lake import Lake
from pipelines.report.cells import OURS, Published, Row, cell_of, column_name, nothing
from pipelines.report.efforts import TABLES as TRAINED
from pipelines.report.efforts import read_efforts, with_effort
from pipelines.report.paper_numbers import TABLE_1, TABLE_1_COHORTS, TABLE_4_TASK, printed, printed_in_table_4
from pipelines.report.study_exhibits import CASES, ablated, cases

X_RAYS = {
    "table_2": "retrieval_mimic_cxr",
    "table_3": "zero_shot_covid19",
    "table_5": "retrieval_open_i",
    "table_6": "zero_shot_chexpert",
}
SETS = {
    "retrieval_mimic_cxr": ("mimic_cxr", "all_views"),
    "zero_shot_covid19": ("covid19", "covid_or_normal"),
    "retrieval_open_i": ("open_i", "all_views"),
    "zero_shot_chexpert": ("chexpert", "valid"),
}
"""Data set and cohort of the paper's own search or classification."""
RETRIEVED = ("precision_at_k", "recall_at_k")
CLASSIFIED = ("precision", "recall", "f1", "auroc", "auprc", "balanced_accuracy", "mcc")
FIGURES = {
    "figure_5": ("prediction_arf", "prediction_shock", "prediction_mortality"),
    "figure_6": ("prediction_readmission",),
}
PREDICTED = ("auroc", "auprc")
SCALE = {"arf": "unbounded", "shock": "unbounded", "readmission": "30d"}
"""Horizon of the tasks that Table 1 counts, as labels have it."""
COUNTED = {
    ("ehr", "patients"): TABLE_1["ehr_patients"],
    ("ehr", "records"): TABLE_1["ehr_records"],
    ("cxr", "patients"): TABLE_1["cxr_patients"],
    ("cxr", "records"): TABLE_1["cxr_records"],
    ("diagnosis_codes", "codes"): TABLE_1["diagnosis_codes"],
    ("drugs", "codes"): TABLE_1["drugs"],
}
"""Table 1 by row and column."""
VARIANT = "medcsp_llm"
INPUTS = (
    *("metrics", "radiology_methods", "prediction_methods", "exposure", "case_studies"),
    *("ablation", "ablation_comparisons", "ablation_trials"),
    *("cohort_split", "diagnosis_vocabulary", "drug_vocabulary", "prediction_events"),
    *TRAINED,
)
"""Tables that the cells are made from."""


def paper_tables(lake: Lake, *, headline: str, is_synthetic: bool) -> pl.DataFrame:
    """Return the rows of `paper_tables`.

    Args:
        lake: where the tables of `INPUTS` are published.
        headline: prompt set that stands for a model where one number must.
        is_synthetic: whether a source was written by the graph.
    """
    whole = ~pl.col("split").str.contains("/")
    exposed = _rows(lake.scan("exposure").filter(pl.col("is_contaminated")))
    trained = read_efforts(lake)
    extras = {name: made.extra for name in ("ablation", "case_studies") if (made := lake.manifest(name)) is not None}
    published = Published(
        metrics=_rows(lake.scan("metrics").filter(whole)),
        counts=_counts(lake),
        x_ray_methods=_rows(lake.scan("radiology_methods")),
        prediction_methods=_rows(lake.scan("prediction_methods")),
        contaminated=frozenset((row["method"], row["dataset"]) for row in exposed),
        ablation_comparisons=_rows(lake.scan("ablation_comparisons")),
        ablation_trials=_rows(lake.scan("ablation_trials")),
        num_checkpoint_steps=trained[OURS].num_steps if OURS in trained else 0,
        missing={name: str(extra["not_available"]) for name, extra in extras.items() if "not_available" in extra},
        not_classified=extras.get("ablation", {}).get("not_measured", {}).get("zero_shot", ""),
        headline=headline,
        is_synthetic=is_synthetic,
    )
    rows = [with_effort(cell, trained) for cell in cells(published)]
    return pl.DataFrame(rows, schema=PaperTables.create_empty().schema)


def _counts(lake: Lake) -> dict[tuple[str, str], tuple[str, int | None]]:
    """Table 1's numbers and the table each was counted in, by row and column; None where nobody was counted."""
    trained = lake.scan("cohort_split").filter(pl.col("split") == "pretrain")
    counted = trained.group_by("source").agg(patients=pl.col("subject_id").n_unique(), records=pl.len()).collect()
    by_source = {row["source"]: row for row in counted.to_dicts()}
    found: dict[tuple[str, str], tuple[str, int | None]] = {}
    for source in ("ehr", "cxr"):
        for column in ("patients", "records"):
            found[source, column] = ("cohort_split", by_source.get(source, {}).get(column))
    for name, table in (("diagnosis_codes", "diagnosis_vocabulary"), ("drugs", "drug_vocabulary")):
        found[name, "codes"] = (table, int(lake.scan(table).select(pl.len()).collect().item()) or None)
    of_paper = lake.scan("prediction_events").filter(pl.col("cohort").cast(pl.String) == "metavision")
    events = {(row["task"], row["horizon"]): row for row in _rows(of_paper)}
    for task, horizon in SCALE.items():
        row = events.get((task, horizon), {})
        for column in ("examples", "events"):
            number = row.get(f"num_{column}") if row.get("num_examples") else None
            found[task, column] = ("prediction_events", number)
    return found


def _rows(frame: pl.LazyFrame) -> list[dict[str, Any]]:
    """Rows as plain values."""
    names = [column for column, dtype in frame.collect_schema().items() if isinstance(dtype, pl.Enum)]
    return frame.with_columns(pl.col(names).cast(pl.String)).collect().to_dicts()


def cells(published: Published) -> list[dict[str, Any]]:
    """Return one row per cell, as the contract `paper_tables` has them."""
    found = [
        *_counted(published),
        *(cell for exhibit in X_RAYS for cell in _x_rays(published, exhibit)),
        *_table_4(published),
        *(cell for exhibit in FIGURES for cell in _predicted(published, exhibit)),
        *ablated(published),
        *(cell for exhibit in CASES for cell in cases(published, exhibit)),
    ]
    shown = {cell["exhibit"] for cell in found}
    assets = {**X_RAYS, "figure_5": "prediction_arf", "figure_6": "prediction_readmission"}
    found += [
        nothing(exhibit, assets[exhibit], "the run measured nothing of it")
        for exhibit in assets
        if exhibit not in shown
    ]
    return found


def _counted(published: Published) -> Iterator[dict[str, Any]]:
    """Table 1: what pre-training stands on, and the prediction tasks' cohorts."""
    for (name, column), (table, value) in published.counts.items():
        known = {"value": value, "ci_low": None, "ci_high": None, "n": None, "fingerprint": None}
        row = {**known, "synthetic": published.is_synthetic} if value is not None else None
        if name in TABLE_1_COHORTS:
            paper, panel = TABLE_1_COHORTS[name][column == "events"], "mimic_iii/metavision"
        else:
            paper, panel = COUNTED[name, column], "pretrain"
        reason = None if row else "nobody stands in this cohort"
        yield cell_of("table_1", table, (panel, name, column), row, paper=paper, reason=reason)


def _x_rays(published: Published, exhibit: str) -> Iterator[dict[str, Any]]:
    """Tables 2, 3, 5 and 6: every method in each mode, those without a number by what the paper prints of them."""
    task = X_RAYS[exhibit]
    dataset, cohort = SETS[task]
    is_search = task.startswith("retrieval")
    metrics = RETRIEVED if is_search else CLASSIFIED
    own = "text_to_image" if is_search else published.headline
    here = [
        row
        for row in published.metrics
        if (row["task"], row["cohort"], row["split"]) == (task, cohort, task) and row["metric"] in metrics
    ]
    modes = ("text_to_image",) if is_search else (own, "mean", "constant")
    measured = set()
    for row in here:
        base, _, harness = row["mode"].partition("/")
        if base not in modes or harness not in ("", "paper"):
            continue
        way = "paper" if harness else "native"
        what = {own: way, "mean": f"{way}, mean over prompts", "constant": "sees no image"}[base]
        measured.add((way, row["method"]))
        yield cell_of(
            exhibit,
            task,
            (f"{dataset}/{cohort}/{what}", row["method"], column_name(row["metric"], row["k"])),
            row,
            paper=row["paper_value"],
            num_seeds=_trained_here(row["method"], {row["seed"]}),
            is_contaminated=(row["method"], dataset) in published.contaminated,
        )
    yield from _not_measured(published, exhibit, measured)


def _not_measured(published: Published, exhibit: str, measured: set[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Rows of the paper, and rows that were asked for, which have no number here."""
    task = X_RAYS[exhibit]
    dataset, cohort = SETS[task]
    reasons = {(row["mode"], row["method"]): row["reason"] for row in published.x_ray_methods if row["task"] == task}
    printed_cells = printed(task)
    methods = list(dict.fromkeys(method for method, *_ in printed_cells))
    ways = sorted({way for way, _ in {*measured, *reasons}} or {"native"})
    asked = [*methods, *dict.fromkeys(method for _, method in reasons if method not in methods)]
    for way in ways:
        for method in asked:
            if (way, method) in measured:
                continue
            reason = reasons.get((way, method)) or "the profile does not name it in radiology.methods"
            panel = f"{dataset}/{cohort}/{way}"
            of_paper = [cell for cell in printed_cells if cell[0] == method]
            for _, metric, k, value in of_paper:
                yield cell_of(exhibit, task, (panel, method, column_name(metric, k)), paper=value, reason=reason)
            if not of_paper:
                yield cell_of(exhibit, task, (panel, method, ""), reason=reason)


def _trained_here(method: str, seeds: set[int]) -> int | None:
    """Trainings of a method that this run trained; None of others."""
    return len(seeds) if method in (OURS, VARIANT) or method.endswith("_small") else None


def _table_4(published: Published) -> Iterator[dict[str, Any]]:
    """The variant with a language model beside LLaVA-Med: what was measured, and what the paper prints."""
    task, (dataset, cohort) = TABLE_4_TASK, SETS[TABLE_4_TASK]
    names = ("task", "cohort", "mode", "split")
    whole = [row for row in published.metrics if tuple(row[n] for n in names) == (task, cohort, "text_to_image", task)]
    reasons = {row["method"]: row["reason"] for row in published.x_ray_methods if row["task"] == task}
    for method, of_paper in printed_in_table_4().items():
        found = {(row["metric"], row["k"]): row for row in whole if row["method"] == method}
        none = "fewer images than that are searched" if found else reasons.get(method)
        for metric, k in sorted({*(key for key in found if key[0] in RETRIEVED), *of_paper}):
            row = found.get((metric, k))
            yield cell_of(
                "table_4",
                task,
                (f"{dataset}/{cohort}/native", method, column_name(metric, k)),
                row,
                paper=of_paper.get((metric, k)),
                num_seeds=_trained_here(method, {row["seed"]}) if row else None,
                is_contaminated=bool(row) and (method, dataset) in published.contaminated,
                reason=None if row else none or "the profile does not name it in radiology.methods",
            )


def _predicted(published: Published, exhibit: str) -> Iterator[dict[str, Any]]:
    """Figures 5 and 6: means over seeds on the test part, then what could not be measured and why."""
    tasks = FIGURES[exhibit]
    names = ("task", "dataset", "cohort", "mode", "method")
    seeds = {tuple(row[name] for name in names): row["num_seeds"] for row in published.prediction_methods}
    for row in published.metrics:
        if row["task"] not in tasks or row["metric"] not in PREDICTED or "transfer" in row["mode"].split("/"):
            continue
        if (row["k"], row["split"], row["seed"]) != (0, "test", -1):
            continue
        place = (_panel(row), row["method"], row["metric"])
        num_seeds = seeds.get(tuple(row[name] for name in names))
        yield cell_of(exhibit, row["task"], place, row, paper=row["paper_value"], num_seeds=num_seeds)
    for row in published.prediction_methods:
        if row["task"] in tasks and row["reason"] is not None and "transfer" not in row["mode"].split("/"):
            yield cell_of(exhibit, row["task"], (_panel(row), row["method"], ""), reason=row["reason"])


def _panel(row: Row) -> str:
    return f"{row['task']}/{row['dataset']}/{row['cohort']}/{row['mode']}"
