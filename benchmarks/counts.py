"""Every step that neither trains nor evaluates, at a share of the releases' counts, each in a process of its own.

Usage: counts [share] [home]; 1 is MIMIC-IV 3.1 and MIMIC-CXR 2.1.0 (20 GB and an hour of one core, films decoded), 0.1
the default; the home is a temporary folder by default. Synthetic patients are copied under other ids: a sixth of the
copies with ICU stays, a third with films, two thirds with notes, all with admissions. What they hold is short: a tenth
of the charted readings, films of 64 x 64 kept as 32 x 32, of which every copy has the same pixels.

Prints one JSON object: `counts` of admissions, ICU stays, summaries, studies and films, `cpu_seconds` of all steps and
`peak_mb` of the largest, and for each step that took a second `rows`, `cpu_seconds` and `peak_mb`.
"""

import gzip
import json
import multiprocessing
import sys
import tempfile
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from lake import measured
from pipelines.assets.glue import build_and_publish
from pipelines.assets.graph import CPU_STEPS
from pipelines.features.prediction_questions import EvaluationSettings
from pipelines.profiles import default
from pipelines.resources import Sources, Workspace
from pipelines.synthetic import write_sources
from pipelines.synthetic.settings import FOLDERS, SyntheticSettings

SOURCES = ("mimic_iv", "mimic_iv_note", "mimic_cxr", "mimic_cxr_jpg")
ORIGINAL = SyntheticSettings(
    num_ehr_subjects=1000,
    num_linked_subjects=600,
    num_cxr_only_subjects=60,
    image_size=64,
    studies_per_linked_subject=3.3,
    studies_per_cxr_only_subject=3.0,
    sources=SOURCES,
    mimic_iv_release="3.1",
    mimic_cxr_release="2.1.0",
    report_layout="zip",
)
ADMITTED, IN_ICU, FILMED, WITH_NOTES = 291, 48, 108, 194
"""Copies that make the releases' counts."""
KEPT = {"labevents": 20, "chartevents": 10, "datetimeevents": 5, "outputevents": 5}
"""Of these tables every so-manyth row."""
HOSPITAL = ("patients", "admissions", "diagnoses_icd", "procedures_icd", "prescriptions")
APART = {"subject_id": 30, "hadm_id": 10, "stay_id": 10, "study_id": 20}
FIRST = {"subject_id": 10_000_000, "hadm_id": 20_000_000, "stay_id": 30_000_000, "study_id": 50_000_000}
ROW_IDS = ("labevent_id", "microevent_id", "orderid", "linkorderid", "pharmacy_id")
COUNTED = {
    "admissions": "mimic_iv__admissions",
    "icu_stays": "mimic_iv__icustays",
    "summaries": "mimic_iv_note__discharge",
    "studies": "mimic_cxr__reports",
    "films": "cxr_images",
}


def main() -> None:
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 0.1
    with tempfile.TemporaryDirectory() as name:
        home = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(name)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            pool.submit(write_trees, home / "raw", share).result()
        workspace = workspace_of(home)
        steps = {step: in_own_process(step, workspace) for step in CPU_STEPS}
    counts = {what: steps[table]["rows"] for what, table in COUNTED.items()}
    total = round(sum(step["cpu_seconds"] for step in steps.values()), 1)
    peak = max(step["peak_mb"] for step in steps.values())
    slow = {name: step for name, step in steps.items() if step["cpu_seconds"] >= 1}
    print(json.dumps({"counts": counts, "cpu_seconds": total, "peak_mb": peak, "steps": slow}))


def workspace_of(home: Path) -> Workspace:
    """Profile `default` without weights, with small films, the four sources alone."""
    profile = default()
    profile = replace(
        profile,
        towers="",
        vocabularies=replace(profile.vocabularies, tokenizer="trained"),
        images=replace(profile.images, size=32),
        evaluation=EvaluationSettings(cohorts=("ehr_holdout",), is_transferred=False, text_encoder=""),
    )
    roots = {name: home / "raw" / FOLDERS[name] for name in SOURCES}
    return Workspace(home=home, profile=profile, sources=Sources(roots=roots))


def in_own_process(name: str, workspace: Workspace) -> dict[str, Any]:
    """Make one table in a fork of this process, which never calls Polars itself: its threads do not survive a fork."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(make, name, workspace).result()


def make(name: str, workspace: Workspace) -> dict[str, Any]:
    """Make one table; rows, CPU seconds and peak memory."""
    step = CPU_STEPS[name]
    with measured() as whole:
        manifest = build_and_publish(step, workspace, step.input_versions(workspace), log=lambda line: None)
    peak = max(whole.peak_mb, workspace.lake.timing(name)["peak_mb"])  # a publish sets the mark back
    return {"rows": manifest.rows, "cpu_seconds": round(whole.cpu_seconds, 2), "peak_mb": peak}


def write_trees(raw: Path, share: float) -> None:
    """Write the four sources with a share of the copies."""
    admitted, in_icu, filmed, with_notes = (max(1, round(share * n)) for n in (ADMITTED, IN_ICU, FILMED, WITH_NOTES))
    original = raw / "original"
    write_sources(original, settings=ORIGINAL)
    copier = Copier(original, raw)
    for path in sorted((original / "mimic-iv").rglob("*.csv.gz")):
        name = path.name.removesuffix(".csv.gz")
        copies = 1 if name.startswith("d_") else admitted if name in HOSPITAL else in_icu
        copier.copy(path, copies, every=KEPT.get(name, 1))
    for path in sorted((original / "mimic-iv-note").rglob("*.csv.gz")):
        copier.copy(path, with_notes if path.name.startswith("discharge") else in_icu)
    for folder in ("mimic-cxr", "mimic-cxr-jpg"):
        for path in sorted((original / folder).glob("*.csv*")):
            copier.copy(path, filmed)
    copier.copy_reports(filmed)
    copier.copy_films(filmed)


class Copier:
    """Copies tables, reports and films under other ids, which ascend from copy to copy.

    Args:
        original: the trees that are copied.
        target: where their copies go.
    """

    def __init__(self, original: Path, target: Path) -> None:
        self.original, self.target = original, target
        found: dict[str, set[str]] = {name: set() for name in FIRST}
        self.films: set[str] = set()
        for path in original.rglob("*.csv*"):
            rows = pl.read_csv(path, infer_schema=False)
            for name in FIRST.keys() & set(rows.columns):
                found[name] |= set(rows[name].drop_nulls())
            self.films |= set(rows["dicom_id"]) if "dicom_id" in rows.columns else set()
        self.rank = {name: {id_: place for place, id_ in enumerate(sorted(ids))} for name, ids in found.items()}

    def copies(self, rows: pl.DataFrame, number: int) -> pl.DataFrame:
        """Return the rows so many times with ids of their own; `copy` says which."""
        if "subject_id" in rows.columns:
            rows = rows.sort("subject_id", maintain_order=True)
        ids = [name for name in FIRST if name in rows.columns]
        rows = pl.DataFrame({"copy": range(number)}).join(rows, how="cross")
        new = [
            FIRST[name]
            + APART[name]
            * (
                pl.col("copy") * len(self.rank[name])
                + pl.col(name).replace_strict(self.rank[name], return_dtype=pl.Int64)
            )
            for name in ids
        ]
        rows = rows.with_columns(
            expression.cast(pl.String).alias(name) for name, expression in zip(ids, new, strict=True)
        )
        apart = [pl.col(name).cast(pl.Int64) + pl.col("copy") * 20_000_000 for name in ROW_IDS if name in rows.columns]
        rows = rows.with_columns(expression.cast(pl.String) for expression in apart)
        if "note_id" in rows.columns:
            rows = rows.with_columns(note_id=pl.col("subject_id") + pl.col("note_id").str.replace(r"^\d+", ""))
        if "dicom_id" in rows.columns:
            rank = {film: place for place, film in enumerate(sorted(self.films))}
            places = rows["copy"] * len(rank) + rows["dicom_id"].replace_strict(rank, return_dtype=pl.Int64)
            first = pl.Series([f"{place:08x}" for place in places])
            rows = rows.with_columns(dicom_id=first + pl.col("dicom_id").str.slice(8))
        if "path" in rows.columns:
            rows = rows.with_columns(path=self._path(rows))
        return rows

    def _path(self, rows: pl.DataFrame) -> pl.Expr:
        study = pl.format(
            "files/p{}/p{}/s{}", pl.col("subject_id").str.slice(0, 2), pl.col("subject_id"), pl.col("study_id")
        )
        return pl.format("{}/{}.dcm", study, pl.col("dicom_id")) if "dicom_id" in rows.columns else study + ".txt"

    def copy(self, path: Path, number: int, *, every: int = 1) -> None:
        """Write copies of one table, of every so-manyth of its rows."""
        rows = pl.read_csv(path, infer_schema=False)
        copied = self.copies(rows.gather_every(every), number).select(rows.columns)
        target = self.target / path.relative_to(self.original)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".csv":
            copied.write_csv(target)
            return
        with gzip.open(target, "wb", compresslevel=1) as file:
            for number_of_part, part in enumerate(copied.iter_slices(500_000)):
                file.write(part.write_csv(include_header=not number_of_part).encode())

    def _listed(self, name: str, number: int) -> pl.DataFrame:
        return self.copies(
            pl.read_csv(self.original / "mimic-cxr" / name, infer_schema=False).with_columns(former="path"), number
        )

    def copy_reports(self, number: int) -> None:
        """Write the reports, each copy with a line of its own."""
        name, folder = "mimic-cxr-reports.zip", Path("mimic-cxr")
        with zipfile.ZipFile(self.original / folder / name) as original:
            texts = {member: original.read(member).decode() for member in original.namelist()}
        with zipfile.ZipFile(self.target / folder / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
            for former, path, copy in (
                self._listed("cxr-study-list.csv.gz", number).select("former", "path", "copy").rows()
            ):
                if former in texts:
                    target.writestr(path, f"{texts[former]}\nCopy {copy}.\n")

    def copy_films(self, number: int) -> None:
        """Link the films; a file may have so many links as there are copies."""
        folder = Path("mimic-cxr")
        for former, path in self._listed("cxr-record-list.csv.gz", number).select("former", "path").iter_rows():
            target = self.target / folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(self.original / folder / former)


if __name__ == "__main__":
    main()
