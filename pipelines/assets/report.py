"""The paper's tables, lineage and the report. Not here: what a page says or looks like (`pipelines.report`)."""

from pathlib import Path

import polars as pl

from data_contracts import CONTRACTS, evaluation
from lake import Lake
from pipelines.assets.step import Build, Made, made_by, step
from pipelines.report import INDEX, TEMPLATES, WARNINGS, build_site, exhibits, write_site

BEFORE_LINEAGE = tuple(c for c in CONTRACTS.values() if c not in (evaluation.Lineage, evaluation.Report))
BEFORE = tuple(contract.table for contract in BEFORE_LINEAGE)
BESIDE_ROWS = ("ablation", "case_studies", "pretrain_checkpoint", "pretrain_llm")
"""Tables whose manifest is read too: why they are empty, or in which batches they were trained."""


@step(
    evaluation.PaperTables,
    inputs=tuple(CONTRACTS[name] for name in exhibits.INPUTS),
    raw=lambda workspace: made_by(workspace, BESIDE_ROWS),
    settings=lambda profile: {"headline": profile.radiology.headline},
    on_device=True,
    kinds=("polars",),
)
def paper_tables(build: Build) -> pl.DataFrame:
    """Lay our numbers beside those that the paper prints."""
    headline, is_synthetic = build.settings["headline"], build.workspace.is_synthetic
    return exhibits.paper_tables(build.lake, headline=headline, is_synthetic=is_synthetic)


@step(
    evaluation.Lineage,
    inputs=BEFORE_LINEAGE,
    raw=lambda workspace: made_by(workspace, BEFORE),
    on_device=True,
    kinds=("parquet",),
)
def lineage(build: Build) -> pl.DataFrame:
    """List the inputs of every published version."""
    manifests = [build.lake.manifest(contract.table) for contract in BEFORE_LINEAGE]
    rows = [
        {
            "table_name": manifest.table,
            "version": manifest.version,
            "input": name.removeprefix("raw:"),
            "input_version": version,
            "is_raw": name.startswith("raw:"),
            "code_version": manifest.code_version,
            "fingerprint": manifest.fingerprint,
        }
        for manifest in manifests
        if manifest is not None
        for name, version in manifest.inputs.items()
    ]
    return pl.DataFrame(rows)


@step(
    evaluation.Report,
    inputs=(*BEFORE_LINEAGE, evaluation.Lineage),
    raw=lambda workspace: {**made_by(workspace, BEFORE), "absent": ",".join(sorted(workspace.sources.absent))},
    settings=lambda profile: {"profile": profile.name},
    data_files=(*TEMPLATES, *WARNINGS),
    is_whole=lambda workspace: has_pages(workspace.lake),
    on_device=True,
    kinds=("html",),
)
def report(build: Build) -> Made:
    """Write the pages that people read."""
    site = build_site(
        build.lake,
        profile_name=build.workspace.profile.name,
        synthetic_sources=sorted(build.workspace.sources.synthetic),
        absent_sources=build.workspace.sources.absent,
        settings=build.workspace.profile.group("records", "links", "cohorts", "vocabularies"),
    )
    path = page_path(build.lake)
    write_site(site, path.parent)
    return Made(
        site.sections, extra={"page": path.relative_to(build.lake.home).as_posix(), "pages": sorted(site.pages)}
    )


def has_pages(lake: Lake) -> bool:
    """Return whether every page of the published report is there."""
    manifest = lake.manifest(evaluation.Report.table)
    return manifest is not None and all(
        (lake.home / "report" / name).is_file() for name in manifest.extra.get("pages", ())
    )


def page_path(lake: Lake) -> Path:
    """Return where the first page lies."""
    return lake.home / "report" / INDEX


STEPS = (paper_tables, lineage, report)
