"""Data counts, in the form of the paper's Table 1, with what was split off, what is missing and what was kept aside.

Aggregates only. What does not belong here: a second definition of a record or a cohort; the tables say what they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from lake import Lake, Manifest
from pipelines.report.content import Cell, Column, KeyNumber, Row, Section, Table, mean_cell
from pipelines.report.formats import NONE, count, median, percent, plain, ratio, release
from pipelines.report.paper_numbers import TABLE_1
from pipelines.report.warned_rules import warnings_table

SPLIT_TITLES = {
    "pretrain": ("Pre-training", "the model learns from these"),
    "ehr_holdout": ("Held out", "kept from the model, the vocabularies and the tokenizer"),
    "retrieval_mimic_cxr": ("Retrieval evaluation", "X-rays of patients without EHR; the model never sees them"),
    "mimic_iii": ("MIMIC-III", "another database; the model never sees it"),
    "unused": ("Unused", "X-rays of patients without EHR, not drawn for the evaluation"),
}
RAW_OF = {"ehr": "mimic_iv", "cxr": "mimic_cxr"}
NOTES = "mimic_iv_note"
KINDS = {"codes": "codes", "dense": "numbers", "series": "hourly features", "text": "tokens", "image": "pixels a side"}
EMPTY = Cell()


@dataclass(frozen=True, kw_only=True)
class _Read:
    """The small frames that several tables of the section are made from."""

    lake: Lake
    ehr: pl.DataFrame
    cxr: pl.DataFrame
    per_record: dict[str, list[int]]
    distinct: dict[str, int]
    absent: Mapping[str, str]

    def rows(self, table: str) -> int:
        """Return the rows of a table, from its manifest."""
        manifest = self.lake.manifest(table)
        assert manifest is not None, "the tables of the page were looked up before"
        return manifest.rows


def counts_section(
    lake: Lake,
    *,
    manifests: Iterable[Manifest],
    synthetic_sources: Sequence[str],
    absent_sources: Mapping[str, str],
) -> Section:
    """Count patients, records and what they hold.

    Args:
        lake: where the tables are.
        manifests: the published versions behind the page, for their rejected rows.
        synthetic_sources: sources that the graph wrote.
        absent_sources: sources without a root, and the variable that would name it.
    """
    read = _read(lake, absent_sources)
    cohorts = _cohorts(lake)
    tables = (
        _table_1(read, synthetic_sources),
        _cohort_table(cohorts),
        _modality_table(lake),
        _rejected_table(manifests),
        warnings_table(lake),
    )
    both = len(_subjects(read.ehr) & _subjects(read.cxr))
    return Section(
        name="data_counts",
        title="Data",
        lead="An EHR record is a hospital admission with at least one ICU stay; a CXR record is one chest X-ray image "
        "with the report of its study.",
        num_rows=sum(len(table.rows) for table in tables),
        bands=tuple((table,) for table in tables),
        key_numbers=(
            KeyNumber(
                label="Records",
                value=count(read.ehr.height + read.cxr.height),
                detail=f"{count(read.ehr.height)} EHR and {count(read.cxr.height)} CXR",
            ),
            KeyNumber(
                label="Patients in both sources",
                value=count(both),
                detail=f"of {count(len(_subjects(read.ehr)))} with EHR and {count(len(_subjects(read.cxr)))} with CXR",
            ),
        ),
    )


def _read(lake: Lake, absent: Mapping[str, str]) -> _Read:
    mimic_iv = pl.col("database").cast(pl.String) == "mimic_iv"
    ehr = lake.scan("ehr_records").filter(mimic_iv).select("subject_id", "hadm_id", "num_stays").collect()
    codes = _of(lake, "ehr_codes", ehr).select("hadm_id", "kind", "code", "icd_version")
    per_kind = codes.group_by("hadm_id", "kind").len().collect()
    distinct = codes.unique(["kind", "code", "icd_version"]).group_by("kind").len().collect()
    per_record = {
        kind: ehr.join(per_kind.filter(pl.col("kind") == kind), on="hadm_id", how="left")
        .get_column("len")
        .fill_null(0)
        .to_list()
        for kind in ("diagnosis", "drug")
    }
    return _Read(
        lake=lake,
        ehr=ehr,
        cxr=lake.scan("cxr_records").filter(pl.col("source") == "cxr").select("subject_id", "study_id").collect(),
        per_record=per_record,
        distinct={str(kind): number for kind, number in distinct.iter_rows()},
        absent=absent,
    )


def _of(lake: Lake, table: str, ehr: pl.DataFrame) -> pl.LazyFrame:
    """Return the rows of a table that belong to some admissions."""
    return lake.scan(table).join(ehr.lazy().select("hadm_id"), on="hadm_id", how="semi")


def _subjects(records: pl.DataFrame) -> set[int]:
    return set(records.get_column("subject_id").to_list())


def _per(records: pl.DataFrame, column: str) -> Cell:
    return mean_cell(records.group_by(column).len().get_column("len").to_list())


def _table_1(read: _Read, synthetic_sources: Sequence[str]) -> Table:
    columns = [
        Column(label=name.upper(), badge="synthetic" if RAW_OF[name] in synthetic_sources else "")
        for name in ("ehr", "cxr")
    ]
    return Table(
        caption="Patients, records and what they hold",
        head="All records of MIMIC-IV and MIMIC-CXR, before any split",
        columns=(*columns, Column(label="Paper, EHR", is_muted=True), Column(label="Paper, CXR", is_muted=True)),
        rows=(*_patient_rows(read), *_ehr_rows(read), *_cxr_rows(read), *_text_rows(read)),
        note="The paper’s columns are its Table 1 (what it pre-trains on: X-ray patients only where they have an EHR "
        "record too); they are printed for scale. Means and medians are over all records, those with none included.",
    )


def _row(label: str, ehr: Cell | str = "", cxr: Cell | str = "", *, paper: str = "", detail: str = "") -> Row:
    cells = [cell if isinstance(cell, Cell) else Cell(text=cell) for cell in (ehr, cxr)]
    printed = [Cell(text=count(TABLE_1[key])) if (key := f"{s}_{paper}") in TABLE_1 else EMPTY for s in ("ehr", "cxr")]
    if paper in TABLE_1:
        printed = [Cell(text=count(TABLE_1[paper])), EMPTY]
    return Row(label=label, detail=detail, cells=(*cells, *printed))


def _patient_rows(read: _Read) -> list[Row]:
    ehr, cxr = _subjects(read.ehr), _subjects(read.cxr)
    both = len(ehr & cxr)
    return [
        _row("Patients", count(len(ehr)), count(len(cxr)), paper="patients"),
        _row(
            "Patients in both sources",
            Cell(text=count(both), detail=ratio(both, len(ehr))),
            Cell(text=count(both), detail=ratio(both, len(cxr))),
        ),
        _row("Records", count(read.ehr.height), count(read.cxr.height), paper="records"),
        _row("Records per patient, mean", _per(read.ehr, "subject_id"), _per(read.cxr, "subject_id")),
    ]


def _ehr_rows(read: _Read) -> list[Row]:
    num_stays = sum(read.ehr.get_column("num_stays").to_list())
    num_used, num_notes = (
        int(_of(read.lake, table, read.ehr).select(pl.len()).collect().item()) for table in ("ehr_stays", "ehr_notes")
    )
    notes: Cell | str = count(num_notes)
    if NOTES in read.absent:
        notes = Cell(badge="not available")
    return [
        _row("ICU stays", count(num_stays), detail=f"{count(num_used)} of them used, the first of each"),
        _row("Discharge summaries", notes),
        _row(
            "Distinct diagnosis codes",
            count(read.distinct.get("diagnosis", 0)),
            paper="diagnosis_codes",
            detail=f"as they are grouped for the model; {count(read.rows('diagnosis_vocabulary'))} in the vocabulary",
        ),
        _row("Diagnosis codes per record, mean", mean_cell(read.per_record["diagnosis"])),
        _row(
            "Distinct drugs",
            count(read.distinct.get("drug", 0)),
            paper="drugs",
            detail=f"{count(read.rows('drug_vocabulary'))} in the vocabulary",
        ),
        _row("Drugs per record, mean", mean_cell(read.per_record["drug"])),
        _row("Hourly features", count(read.rows("series_features"))),
        _row("Non-zero hourly cells", count(read.rows("ehr_series")), detail="of the stays of every database"),
    ]


def _cxr_rows(read: _Read) -> list[Row]:
    return [
        _row("Studies", "", count(read.cxr.get_column("study_id").n_unique())),
        _row("Reports", "", count(_num_of_mimic_cxr(read.lake, "cxr_reports"))),
        _row("Images per study, mean", "", _per(read.cxr, "study_id")),
        _row("Images decoded", "", count(_num_of_mimic_cxr(read.lake, "cxr_images"))),
    ]


def _num_of_mimic_cxr(lake: Lake, table: str) -> int:
    """Return the rows of MIMIC-CXR in a table of every release's films."""
    return int(lake.scan(table).filter(pl.col("source") == "cxr").select(pl.len()).collect().item())


def _text_rows(read: _Read) -> list[Row]:
    tokens = _own(read, "text_tokens", "text_id").select("source", "num_tokens", "is_truncated").collect()
    histories = _own(read, "diagnosis_histories", "record_id").select("source", "num_codes").collect()
    lengths, cut, without, codes = [], [], [], []
    for source in ("ehr", "cxr"):
        texts = tokens.filter(pl.col("source") == source)
        lengths.append(plain(median(texts["num_tokens"].to_list())) if texts.height else NONE)
        cut.append(ratio(texts.filter("is_truncated").height, texts.height))
        history = histories.filter(pl.col("source") == source)["num_codes"]
        known = history.filter(history > 0).to_list()
        without.append(ratio(history.len() - len(known), history.len()))
        codes.append(plain(median(known)) if known else NONE)
    return [
        _row("Tokens per text, median", *lengths),
        _row("Texts cut at the context length", *cut),
        _row("Records without a diagnosis history", *without),
        _row("Codes per history, median", *codes, detail="of the records that have one"),
    ]


def _own(read: _Read, table: str, column: str) -> pl.LazyFrame:
    """Return the rows of a table of both sources, those of other databases left out."""
    admissions = read.ehr.lazy().select(pl.col("hadm_id").cast(pl.String).alias(column))
    rows = read.lake.scan(table)
    is_ehr = pl.col("source").cast(pl.String) == "ehr"
    return pl.concat([rows.filter(is_ehr).join(admissions, on=column, how="semi"), rows.filter(~is_ehr)])


def _cohorts(lake: Lake) -> pl.DataFrame:
    return (
        lake.scan("cohort_split")
        .group_by(pl.col("split").cast(pl.String), pl.col("source").cast(pl.String))
        .agg(
            subjects=pl.col("subject_id").n_unique(),
            studies=pl.col("study_id").n_unique(),
            records=pl.len(),
        )
        .collect()
    )


def _cohort_table(cohorts: pl.DataFrame) -> Table:
    rows = []
    for split, (title, detail) in _titles(cohorts).items():
        of_split = cohorts.filter(pl.col("split") == split)
        ehr, films = of_split.filter(source="ehr").sum(), of_split.filter(pl.col("source") != "ehr").sum()
        numbers = [
            ehr["subjects"][0],
            ehr["records"][0],
            *(films[name][0] for name in ("subjects", "studies", "records")),
        ]
        rows.append(Row(label=title, detail=detail, cells=tuple(Cell(text=count(n)) for n in numbers)))
    labels = ("EHR patients", "EHR records", "CXR patients", "CXR studies", "CXR images")
    return Table(
        caption="Cohorts",
        head="Cohort",
        columns=tuple(Column(label=label) for label in labels),
        rows=tuple(rows),
        note="No patient stands in two cohorts that the model learns from and is measured on.",
    )


def _titles(cohorts: pl.DataFrame) -> dict[str, tuple[str, str]]:
    """Return title and detail of every cohort; releases of films that do not pre-train have one each."""
    others = sorted(set(cohorts["split"]) - SPLIT_TITLES.keys())
    return SPLIT_TITLES | {
        split: (
            release(split.removeprefix("retrieval_").removeprefix("zero_shot_")),
            "X-rays of another release; the model never sees them",
        )
        for split in others
    }


def _modality_table(lake: Lake) -> Table:
    contents = lake.scan("pretrain_corpus").filter(pl.col("kind").is_in(list(KINDS))).collect()
    rows = [
        Row(
            label=f"{str(row['source']).upper()} · {row['modality']}",
            cells=(
                Cell(text=row["kind"]),
                Cell(text=count(row["size"]), detail=KINDS[row["kind"]]),
                Cell(text=count(row["num_present"])),
                Cell(text=count(row["num_records"])),
                _share(row["num_present"], row["num_records"]),
            ),
        )
        for row in contents.sort("source", "modality").iter_rows(named=True)
    ]
    return Table(
        caption="Modalities of the pre-training corpus",
        head="Modality",
        columns=(
            Column(label="Kind", is_number=False),
            Column(label="Size"),
            Column(label="Records with it"),
            Column(label="Records"),
            Column(label="Share"),
        ),
        rows=tuple(rows),
        note="A modality that a record lacks is masked: it counts in no mean and no loss."
        if rows
        else "The corpus is empty: no record is left to pre-train on.",
    )


def _share(part: int, whole: int) -> Cell:
    return Cell(text=ratio(part, whole), bar=part / whole if whole else 0.0)


def _rejected_table(manifests: Iterable[Manifest]) -> Table:
    found = [(m, rule, num) for m in manifests for rule, num in sorted(m.rejected.items())]
    rows = [
        Row(
            label=manifest.table,
            cells=(
                Cell(text=rule),
                Cell(text=count(num)),
                Cell(text=percent(num / (manifest.rows + sum(manifest.rejected.values())), 2)),
            ),
        )
        for manifest, rule, num in found
    ]
    return Table(
        caption=f"Rows kept aside ({count(sum(num for _, _, num in found))})",
        head="Table",
        columns=(Column(label="Rule", is_number=False), Column(label="Rows"), Column(label="Share of the table")),
        rows=tuple(rows),
        note="Rows that break a rule of their table’s contract are counted here and kept beside the table; none is "
        "dropped in silence."
        if rows
        else "Every row of every table met the rules of its contract.",
        is_folded=bool(rows),
    )
