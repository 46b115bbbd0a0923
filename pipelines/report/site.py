"""Puts the site together: reads the lake, asks each section for its data, and says which page it stands on.

What does not belong here: what a section says (its own module) and what anything looks like (`page`, `templates/`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts.evaluation import Report
from lake import Lake
from lake.files import locked, write_atomic
from pipelines.report import (
    ablation,
    case_studies,
    cohorts,
    curves,
    databases,
    examples,
    paper,
    predictions,
    retrieval,
    tripod_study,
    x_ray_tables,
)
from pipelines.report.ablation import ablation_section
from pipelines.report.case_studies import case_studies_section
from pipelines.report.cohorts import cohorts_section
from pipelines.report.costs import costs_section
from pipelines.report.counts import counts_section
from pipelines.report.databases import databases_section
from pipelines.report.examples import examples_section
from pipelines.report.experiments import EXPERIMENTS, experiment_sections
from pipelines.report.experiments import TABLES as CHECKPOINTS
from pipelines.report.lineage import Ancestry, lineage_section, trace
from pipelines.report.page import AGGREGATES, Page, render
from pipelines.report.pairs import pairs_section
from pipelines.report.paper import paper_section
from pipelines.report.predictions import predictions_section
from pipelines.report.pretraining import TABLE as CHECKPOINT
from pipelines.report.retrieval import retrieval_section
from pipelines.report.settings_section import settings_section
from pipelines.report.tripod import tripod_section
from pipelines.report.x_ray_tables import x_rays_section
from pipelines.report.zero_shot import zero_shot_section

INDEX = "index.html"
INPUTS = (
    "ehr_records",
    "ehr_stays",
    "ehr_codes",
    "ehr_notes",
    "cxr_records",
    "cxr_reports",
    "same_patient_pairs",
    "cohort_split",
    "diagnosis_histories",
    "diagnosis_vocabulary",
    "drug_vocabulary",
    "ehr_series",
    "text_tokens",
    "cxr_images",
    *databases.TABLES,
    *cohorts.TABLES,
    *tripod_study.TABLES,
    "pretrain_corpus",
    retrieval.GALLERY,
    *CHECKPOINTS,
    *predictions.TABLES,
    *x_ray_tables.TABLES,
    *ablation.TABLES,
    *case_studies.TABLES,
    curves.TABLE,
    examples.TABLE,
    retrieval.TABLE,
    paper.TABLE,
)
"""Tables that must be published before the site can be built."""

KEY_NUMBERS = ("retrieval", "predictions", "pre_training", "linked_pairs", "data_counts")


@dataclass(frozen=True, kw_only=True)
class Site:
    """Rendered pages by file, and one row per section, as the contract `report` has them (without the costs)."""

    pages: dict[str, str]
    sections: pl.DataFrame


def build_site(
    lake: Lake,
    *,
    profile_name: str,
    synthetic_sources: Sequence[str],
    absent_sources: Mapping[str, str],
    settings: Mapping[str, Any],
) -> Site:
    """Render the report of what a lake holds. The same tables give the same bytes, apart from the costs.

    Args:
        lake: where the tables of `INPUTS` are published; an empty table is said to be empty.
        profile_name: the profile that made them.
        synthetic_sources: raw sources that the graph wrote itself.
        absent_sources: raw sources that were not there, and the variable that would name each.
        settings: settings to print, nested as they come.

    Raises:
        TableMissing: a table of `INPUTS` is not published.
    """
    ancestry = trace(lake, INPUTS)
    manifests = list(ancestry.manifests.values())
    pages = [
        Page(
            file=INDEX,
            title="Summary",
            lead="The paper’s tables and figures, ours beside the printed numbers.",
            sections=(paper_section(lake, ancestry),),
        ),
        Page(
            file="data.html",
            title="Data",
            lead="What was read, linked and left out: counts, pairs, databases, cohorts.",
            sections=(
                counts_section(
                    lake, manifests=manifests, synthetic_sources=synthetic_sources, absent_sources=absent_sources
                ),
                pairs_section(lake),
                databases_section(lake),
                cohorts_section(lake, synthetic_sources=synthetic_sources),
            ),
        ),
        Page(
            file="retrieval.html",
            title="Retrieval and zero-shot",
            lead="Reports search images, two sentences tell films apart; what each model may have seen.",
            sections=(
                retrieval_section(lake),
                zero_shot_section(lake),
                x_rays_section(lake),
                examples_section(lake),
            ),
            holds=examples.HOLDS if ancestry.manifests[examples.TABLE].rows else AGGREGATES,
        ),
        Page(
            file="predictions.html",
            title="Predictions",
            lead="What becomes of the critically ill, predicted 48 h into a stay and at discharge, and the study in "
            "TRIPOD+AI’s order.",
            sections=(predictions_section(lake), tripod_section(lake, ancestry, synthetic_sources=synthetic_sources)),
        ),
        Page(
            file="ablation.html",
            title="Ablation and case studies",
            lead="What each part of the recipe brings, and what embeddings look like with and without it.",
            sections=(ablation_section(lake), case_studies_section(lake)),
            holds=case_studies.HOLDS if ancestry.manifests[case_studies.POINTS].rows else AGGREGATES,
        ),
        *_experiment_pages(lake, ancestry, synthetic_sources=synthetic_sources),
        Page(
            file="lineage.html",
            title="Lineage and costs",
            lead="From any number back to its files, every setting, and what each table cost.",
            sections=(
                lineage_section(
                    ancestry,
                    metrics=retrieval.TABLE,
                    checkpoint=CHECKPOINT,
                    measured_on=_measured_on(lake),
                    synthetic_sources=synthetic_sources,
                ),
                settings_section({**settings, "training": ancestry.manifests[CHECKPOINT].settings}),
            ),
        ),
    ]
    sections = _rows(pages)
    costs = costs_section(lake, manifests=manifests)
    found = {section.name: section for page in pages for section in page.sections}
    pages[0] = replace(pages[0], key_numbers=tuple(key for name in KEY_NUMBERS for key in found[name].key_numbers))
    pages[-1] = replace(pages[-1], sections=(*pages[-1].sections, costs))
    html = render(
        pages,
        profile_name=profile_name,
        synthetic_sources=synthetic_sources,
        absent_sources=absent_sources,
        engines=ancestry.manifests[retrieval.TABLE].engines,
    )
    return Site(pages=html, sections=sections)


def write_site(site: Site, folder: Path) -> None:
    """Replace the pages, each as one step: whoever asks for one while it is written sees a whole one.

    The page of a checkpoint that is gone is taken away.
    """
    with locked(folder / ".lock"):
        for file, html in site.pages.items():
            write_atomic(folder / file, html)
        for file in {experiment.file for experiment in EXPERIMENTS} - site.pages.keys():
            (folder / file).unlink(missing_ok=True)


def _experiment_pages(lake: Lake, ancestry: Ancestry, *, synthetic_sources: Sequence[str]) -> list[Page]:
    """A page for every checkpoint that was trained, and always one for the model itself."""
    return [
        Page(
            file=experiment.file,
            title=experiment.title,
            lead="Model card: what it is, what it was trained on, what it is for, its curves and settings.",
            sections=experiment_sections(experiment, lake, ancestry, synthetic_sources=synthetic_sources),
        )
        for experiment in EXPERIMENTS
        if experiment.table == CHECKPOINT or ancestry.manifests[experiment.table].rows
    ]


def _measured_on(lake: Lake) -> list[str]:
    """Fingerprints of our own checkpoints that numbers name; those of published models are digests of their files."""
    named = lake.scan(retrieval.TABLE).filter(_is_ours()).select("fingerprint").unique().collect()
    return sorted(named["fingerprint"].to_list())


def _is_ours() -> pl.Expr:
    method, task = pl.col("method").cast(pl.String), pl.col("task")
    return method.is_in(["medcsp", "medcsp_linear_probe"]) & ~task.is_in([ablation.TABLE, case_studies.TABLE])


def _rows(pages: Sequence[Page]) -> pl.DataFrame:
    rows = [
        {
            "section": section.name,
            "page": page.file,
            "num_rows": section.num_rows,
            "content_sha256": section.content_sha256,
        }
        for page in pages
        for section in page.sections
    ]
    return pl.DataFrame(rows, schema=Report.create_empty().schema)
