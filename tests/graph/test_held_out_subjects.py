"""What the records of held-out subjects say reaches nothing that is learned: vocabularies, fits, corpus, checkpoint."""

import gzip
from pathlib import Path

import polars as pl
from graph_runs import making, run_job, tiny_workspace, versions

from lake import Lake
from pipelines.assets.graph import STEPS

FITTED = (
    *("diagnosis_vocabulary", "drug_vocabulary", "tokenizer_vocabulary"),
    *("series_features", "shared_series_features", "static_features"),
)
APPLIED = (
    *("text_tokens", "ehr_codes", "ehr_series", "ehr_shared_series", "ehr_static"),
    *("critical_care_corpus", "discharge_corpus", "retrieval_mimic_cxr_corpus"),
)
WORDS = "zebra quagga okapi " * 40


def rewrite(path: Path, held_out: list[int], **columns: pl.Expr) -> None:
    """Change some columns of the rows of some subjects; columns are named in lower case."""
    rows = pl.read_csv(gzip.decompress(path.read_bytes()), infer_schema=False)
    names = {name.lower(): name for name in rows.columns}
    own = pl.col(names["subject_id"]).cast(pl.Int64).is_in(held_out)
    assert rows.filter(own).height, path.name
    changed = [
        pl.when(own & pl.col(names[name]).is_not_null()).then(value).otherwise(names[name]).alias(names[name])
        for name, value in columns.items()
    ]
    path.write_bytes(gzip.compress(rows.with_columns(changed).write_csv().encode()))


def twice(column: str) -> pl.Expr:
    return (2 * pl.col(column).cast(pl.Float64)).cast(pl.String)


def test_nothing_that_is_learned_changes_with_what_held_out_subjects_have(fresh_copy: Path) -> None:
    lake, raw = Lake(fresh_copy, num_shards=3), fresh_copy / "raw"
    split = lake.scan("cohort_split").with_columns(pl.col("split").cast(pl.String)).collect()
    others = split.filter(pl.col("split") != "pretrain")
    held_out = others["subject_id"].unique().to_list()
    assert {"ehr_holdout", "mimic_iii", "retrieval_mimic_cxr"} <= set(others["split"])
    before = versions(fresh_copy)

    hosp, text = raw / "mimic-iv" / "hosp", pl.lit(WORDS)
    rewrite(hosp / "diagnoses_icd.csv.gz", held_out, icd_code=pl.lit("E8889"))
    rewrite(hosp / "prescriptions.csv.gz", held_out, drug=pl.lit("Quaggamycin"))
    rewrite(hosp / "labevents.csv.gz", held_out, valuenum=twice("valuenum"), value=twice("valuenum"))
    rewrite(hosp / "patients.csv.gz", held_out, anchor_age=pl.lit("31"))
    rewrite(hosp / "admissions.csv.gz", held_out, race=pl.lit("ASIAN"), insurance=pl.lit("Medicaid"))
    rewrite(raw / "mimic-iv/icu/chartevents.csv.gz", held_out, valuenum=twice("valuenum"))
    rewrite(raw / "mimic-iv-note/note/discharge.csv.gz", held_out, text=text)
    for tree in ("mimic-iii", "mimic-iii-carevue"):
        rewrite(raw / tree / "CHARTEVENTS.csv.gz", held_out, valuenum=twice("VALUENUM"))
        rewrite(raw / tree / "NOTEEVENTS.csv.gz", held_out, text=text)
        rewrite(raw / tree / "DIAGNOSES_ICD.csv.gz", held_out, icd9_code=pl.lit("E8889"))
    for study in others.filter(pl.col("split") != "mimic_iii", pl.col("source") == "cxr")["study_id"].unique():
        for report in (raw / "mimic-cxr").rglob(f"s{study}.txt"):
            report.write_text(f"FINDINGS: {WORDS}")

    learned_from = set(STEPS["pretrain_checkpoint"].inputs)
    outcome = run_job(tiny_workspace(fresh_copy), only=making(*FITTED, *APPLIED, *learned_from)[1:])
    assert outcome.success, outcome.failures
    after = versions(fresh_copy)
    changed = {table for table, version in after.items() if before[table] != version}
    assert set(APPLIED) <= changed, "what is applied to everybody did see it"
    assert not changed & {*FITTED, *learned_from}
