"""Films of every release as records: one step per release, their union, and the texts of their reports.

What a release's films are called and where they lie, its module below `sources/` says; nothing here names one.
"""

import polars as pl

from data_contracts import CONTRACTS, records
from lake.sql import table_names
from pipelines.assets.step import SQL_FOLDER, Build, Step, sql_step, step
from pipelines.features import text
from pipelines.sources import FILMS, TABLES, Films


def _release_step(films: Films, table: str) -> Step:
    sql = f"records/{table}.sql"
    read = sorted(table_names((SQL_FOLDER / sql).read_text()))
    return sql_step(
        CONTRACTS[table],
        sql,
        inputs=[CONTRACTS[name] for name in read],
        settings=lambda profile: {"first_id": films.first_id} if films.first_id else {},
    )


@step(records.CxrRecords, inputs=[CONTRACTS[films.table] for films in FILMS.values()])
def cxr_records(build: Build) -> pl.LazyFrame:
    """Put the films of all releases into one table."""
    return pl.concat(build.scan(CONTRACTS[name]) for name in build.step.inputs)


@step(
    records.CxrReports,
    inputs=[records.CxrRecords, *(CONTRACTS[films.texts] for films in FILMS.values() if films.texts)],
    settings=lambda profile: {"report_text": profile.records.report_text},
)
def cxr_reports(build: Build) -> pl.LazyFrame:
    """Take the wanted part of the report of every study with a film."""
    films, *texts = build.step.inputs
    studies = build.scan(CONTRACTS[films]).select("source", "study_id").unique()
    reports = pl.concat(build.scan(CONTRACTS[name]).select("subject_id", "study_id", "text") for name in texts)
    chosen = text.choose_report_text(reports.join(studies, on="study_id"), build.settings["report_text"])
    return chosen.select("source", "subject_id", "study_id", "section", "is_fall_back", "text")


STEPS = (
    *(
        _release_step(films, table)
        for films in FILMS.values()
        for table in (films.table, films.texts)
        if table and table not in TABLES
    ),
    *(cxr_records, cxr_reports),
)
