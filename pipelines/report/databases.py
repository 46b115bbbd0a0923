"""What the databases share: codes a vocabulary knows, concepts that are charted, people, and texts that repeat."""

import polars as pl

from lake import Lake
from pipelines.report.content import Cell, Column, Note, Part, Row, Section, Table
from pipelines.report.counts import SPLIT_TITLES
from pipelines.report.formats import count, decimal, percent, ratio, release, true_minus

SYSTEMS = {"both": "both of MIMIC-III", "carevue": "CareVue", "metavision": "MetaVision", "mimic_iv": "MIMIC-IV"}
TABLES = ("vocabulary_coverage", "concept_coverage", "demographics_shift", "note_report_overlap")


def databases_section(lake: Lake) -> Section:
    """Lay out how far one database speaks for another."""
    frames = {name: _read(lake, name) for name in TABLES}
    parts = [
        _vocabulary(frames["vocabulary_coverage"]),
        _concepts(frames["concept_coverage"]),
        _demographics(frames["demographics_shift"]),
        _overlap(frames["note_report_overlap"]),
    ]
    return Section(
        name="databases",
        title="Across databases",
        lead="What a model fitted on one database finds in another, what gives a database away, and how much of a "
        "report a linked discharge summary repeats.",
        num_rows=sum(frame.height for frame in frames.values()),
        bands=tuple((part,) for part in parts),
    )


def _read(lake: Lake, name: str) -> pl.DataFrame:
    rows = lake.scan(name)
    names = [column for column, dtype in rows.collect_schema().items() if isinstance(dtype, pl.Enum)]
    return rows.with_columns(pl.col(names).cast(pl.String)).collect()


def cohort_title(split: str) -> str:
    """What a cohort is called, as in the table of cohorts."""
    return SPLIT_TITLES[split][0] if split in SPLIT_TITLES else split.replace("_", " ")


def _vocabulary(rows: pl.DataFrame) -> Part:
    if rows.is_empty():
        return Note(text="No EHR record has a code.", tone="missing")
    return Table(
        caption="Codes that the vocabularies do not hold",
        head="Codes, database and cohort",
        columns=tuple(Column(label=label) for label in ("Records", "Without any", "Codes", "Unknown")),
        rows=tuple(
            Row(
                label=f"{row['kind']}, {release(row['database'])}",
                detail=cohort_title(row["split"]),
                cells=(
                    Cell(text=count(row["num_records"])),
                    Cell(text=count(row["num_records_without_codes"])),
                    Cell(text=count(row["num_codes"])),
                    Cell(text=ratio(row["num_out_of_vocabulary"], row["num_codes"])),
                ),
            )
            for row in rows.iter_rows(named=True)
        ),
        note="A record without codes has that modality masked. Vocabularies are fitted on pre-training subjects alone.",
    )


def _concepts(rows: pl.DataFrame) -> Part:
    if rows.is_empty():
        return Note(text="No stay has a reading of a shared concept.", tone="missing")
    per_system = (
        rows.group_by("system")
        .agg(
            num_stays=pl.col("num_stays").max(),
            num_concepts=(pl.col("num_variables") > 0).sum(),
            num_seen=(pl.col("num_stays_with_value") > 0).sum(),
            num_common=(pl.col("share_of_stays") > 0.05).sum(),
        )
        .sort("system")
    )
    return Table(
        caption="Concepts of the shared feature space",
        head="Clinical system",
        columns=tuple(
            Column(label=label) for label in ("Stays", "Concepts mapped", "Seen", "In more than 5 % of stays")
        ),
        rows=tuple(
            Row(
                label=SYSTEMS[row["system"]],
                cells=tuple(
                    Cell(text=count(row[name])) for name in ("num_stays", "num_concepts", "num_seen", "num_common")
                ),
            )
            for row in per_system.iter_rows(named=True)
        ),
        note="What is not mapped is missing, never zero. By concept: select * from concept_coverage.",
    )


def _demographics(rows: pl.DataFrame) -> Part:
    if rows.is_empty():
        return Note(text="One database alone: nothing to tell apart by demographics.", tone="missing")
    return Table(
        caption="How far demographics give the database away",
        head="Database and column",
        columns=tuple(Column(label=label) for label in ("AUROC against MIMIC-IV", "Mean", "Mean in MIMIC-IV")),
        rows=tuple(
            Row(
                label=f"{release(row['database'])}, {row['encoded_column'].replace('_', ' ')}",
                cells=(
                    Cell(text=decimal(row["auroc"], 2) if row["rank"] == 1 else ""),
                    Cell(text=true_minus(decimal(row["mean"], 2))),
                    Cell(text=true_minus(decimal(row["mimic_iv_mean"], 2))),
                ),
            )
            for row in rows.sort("database", "rank").iter_rows(named=True)
        ),
        note="Of a logistic regression on the encoded vector of adults, out of fold, split by subject: 0.5 gives "
        "nothing away. The columns are the three that help it most.",
    )


def _overlap(rows: pl.DataFrame) -> Part:
    if rows.is_empty():
        return Note(text="No discharge summary is linked to a report.", tone="missing")
    return Table(
        caption="Runs of eight words of a report in the linked summary",
        head="Cohort",
        columns=tuple(Column(label=label) for label in ("Pairs", "Pairs that share a run", "Runs shared")),
        rows=tuple(
            Row(
                label=cohort_title(row["split"]),
                cells=(
                    Cell(text=count(row["num_pairs"])),
                    Cell(text=ratio(row["num_pairs_with_overlap"], row["num_pairs"])),
                    Cell(text=percent(row["share_of_runs"])),
                ),
            )
            for row in rows.iter_rows(named=True)
        ),
        note="Where summaries quote reports, same-patient pairs can be matched by copying.",
    )
