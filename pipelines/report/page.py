"""Puts the page together: reads the lake, asks each section for its data, and renders one file that needs no other.

What does not belong here: what a section says (its own module) and what anything looks like (`templates/`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import polars as pl

from data_contracts.evaluation import Report
from lake import Lake
from lake.files import locked, write_atomic
from pipelines.report import cohorts, databases, predictions, retrieval, tripod_study
from pipelines.report.charts import draw
from pipelines.report.cohorts import cohorts_section
from pipelines.report.content import Cell, Column, Note, Row, Section, Table
from pipelines.report.costs import costs_section
from pipelines.report.counts import counts_section
from pipelines.report.databases import databases_section
from pipelines.report.formats import maths, release
from pipelines.report.lineage import lineage_section, trace
from pipelines.report.pairs import pairs_section
from pipelines.report.predictions import predictions_section
from pipelines.report.pretraining import TABLE as CHECKPOINT
from pipelines.report.pretraining import pretraining_section
from pipelines.report.retrieval import retrieval_section
from pipelines.report.tripod import tripod_section

FOLDER = Path(__file__).resolve().parent / "templates"
TEMPLATES = tuple(sorted(path for path in FOLDER.iterdir() if path.is_file()))
"""Files that the page is rendered with: part of the code version of whatever publishes it."""

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
    CHECKPOINT,
    *predictions.TABLES,
    retrieval.TABLE,
)
"""Tables that must be published before the page can be built."""

KEY_NUMBERS = ("retrieval", "predictions", "pre_training", "linked_pairs", "data_counts")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A rendered page and one row per section, as the contract `report` has them (without the costs)."""

    html: str
    sections: pl.DataFrame


def build_page(
    lake: Lake,
    *,
    profile_name: str,
    synthetic_sources: Sequence[str],
    absent_sources: Mapping[str, str],
    settings: Mapping[str, Any],
) -> Page:
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
    sections = [
        counts_section(lake, manifests=manifests, synthetic_sources=synthetic_sources, absent_sources=absent_sources),
        pairs_section(lake),
        databases_section(lake),
        cohorts_section(lake, synthetic_sources=synthetic_sources),
        pretraining_section(lake),
        retrieval_section(lake),
        predictions_section(lake),
        tripod_section(lake, ancestry, synthetic_sources=synthetic_sources),
        lineage_section(
            ancestry,
            metrics=retrieval.TABLE,
            checkpoint=CHECKPOINT,
            measured_on=lake.scan(retrieval.TABLE).select("fingerprint").unique().collect()["fingerprint"].to_list(),
            synthetic_sources=synthetic_sources,
        ),
        _settings_section({**settings, "training": ancestry.manifests[CHECKPOINT].settings}),
    ]
    frame = pl.DataFrame(
        {
            "section": [section.name for section in sections],
            "page": ["index.html" for _ in sections],
            "num_rows": [section.num_rows for section in sections],
            "content_sha256": [section.content_sha256 for section in sections],
        },
        schema=Report.create_empty().schema,
    )
    by_name = {section.name: section for section in sections}
    html = (
        _environment()
        .get_template("page.html.j2")
        .render(
            profile=profile_name,
            synthetic_sources=sorted(synthetic_sources),
            absent_sources=dict(sorted(absent_sources.items())),
            key_numbers=[key for name in KEY_NUMBERS for key in by_name[name].key_numbers],
            sections=[*sections, costs_section(lake, manifests=manifests)],
            engines=ancestry.manifests[retrieval.TABLE].engines,
            draw=draw,
        )
    )
    return Page(html=html, sections=frame)


def write_page(page: Page, path: Path) -> None:
    """Replace the file as one step: whoever has the old page open, or asks while it is written, sees a whole one."""
    with locked(path.parent / ".lock"):
        write_atomic(path, page.html)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(maths=maths, release=release)
    return environment


def _settings_section(settings: Mapping[str, Any]) -> Section:
    rows = [Row(label=name, cells=(Cell(text=value, is_code=True),)) for name, value in _flat(settings)]
    table = Table(
        caption=f"All settings ({len(rows)})",
        head="Setting",
        columns=(Column(label="Value", is_number=False),),
        rows=tuple(rows),
        is_folded=True,
    )
    return Section(
        name="settings",
        title="Settings",
        lead="Every choice that the paper leaves open, or that differs from it, is a setting.",
        num_rows=len(rows),
        bands=((table if rows else Note(text="No settings were given.", tone="missing"),),),
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as `group.name` and text, by name."""
    for name in sorted(settings):
        value = settings[name]
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _in_words(value)


def _in_words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_in_words(item) for item in value)
    return {True: "yes", False: "no", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)
