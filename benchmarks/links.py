"""Same-patient pairs of 0.8 million EHR records and 3.1 million images, twenty times MIMIC: sql/links as it is run.

Usage: links [scale]; a scale of 1 is that size. Prints one JSON object: `cpu_seconds` of the query alone over tables in
memory, `cpu_seconds_from_parquet` over published files, medians of five; the pairs, and whether numpy counts as many.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from lake.sql import quoted, statement_of
from pipelines.resources import REPOSITORY

QUERY = REPOSITORY / "sql" / "links" / "same_patient_pairs.sql"
NUM_EHR, NUM_CXR = 820_000, 3_140_000
THETA_DAYS = 30
DAY = 86_400
NUM_RUNS = 5


def main() -> None:
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    ehr, cxr = records(int(NUM_EHR * scale), int(NUM_CXR * scale))
    query = f"create or replace temp table pairs as {statement_of(QUERY.read_text())}"
    seconds: dict[str, list[float]] = {"table": [], "view": []}
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as sql:
        sql.execute(f"set variable theta_days = {THETA_DAYS}.0; set variable gap_from = 'interval'")
        for run in range(2 * NUM_RUNS):
            kind = ("table", "view")[run % 2]
            for name, rows in (("ehr_records", ehr), ("cxr_records", cxr)):
                show(sql, kind, name, rows, Path(folder))
            started = time.process_time()
            sql.execute(query)
            seconds[kind].append(time.process_time() - started)
        ((num_pairs,),) = sql.sql("select count(*) from pairs").fetchall()
    result = {
        "ehr_records": ehr.height,
        "cxr_records": cxr.height,
        "pairs": num_pairs,
        "equal": num_pairs == count_pairs(ehr, cxr),
        "cpu_seconds": round(statistics.median(seconds["table"]), 3),
        "cpu_seconds_from_parquet": round(statistics.median(seconds["view"]), 3),
    }
    print(json.dumps(result))


def show(sql: duckdb.DuckDBPyConnection, kind: str, name: str, rows: pl.DataFrame, folder: Path) -> None:
    """Make a table or a view over Parquet of the rows."""
    path = folder / f"{name}.parquet"
    if not path.exists():
        rows.write_parquet(path)
    other = "view" if kind == "table" else "table"
    found = sql.sql("select table_type from information_schema.tables where table_name = ?", params=[name]).fetchall()
    if found:
        sql.execute(f"drop {other} {name}")
    sql.execute(f"create {kind} {name} as select * from read_parquet({quoted(path)})")


def records(num_ehr: int, num_cxr: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records in the order of their tables: 1.25 admissions of a patient, 6 images, most patients alike."""
    rng = np.random.default_rng(0)
    num_subjects = int(num_ehr / 1.25)
    subject = np.sort(rng.integers(0, num_subjects, num_ehr))
    born = rng.integers(4_000_000_000, 6_000_000_000, 2 * num_subjects)
    admitted = born[subject] + rng.integers(0, 5 * 365 * DAY, num_ehr)
    ehr = pl.DataFrame(
        {
            "database": pl.Series(["mimic_iv"]).new_from_index(0, num_ehr),
            "record_id": np.arange(num_ehr),
            "subject_id": 10_000_000 + subject,
            "admit_time": admitted,
            "discharge_time": admitted + rng.integers(0, 20 * DAY, num_ehr),
            "record_time": admitted,
        }
    )
    first = num_subjects // 3
    subject = np.sort(rng.integers(first, first + num_cxr // 6, num_cxr)) % (2 * num_subjects)
    cxr = pl.DataFrame(
        {
            "source": pl.Series(["cxr"]).new_from_index(0, num_cxr),
            "record_id": np.arange(num_cxr),
            "subject_id": 10_000_000 + subject,
            "record_time": born[subject] + rng.integers(0, 5 * 365 * DAY, num_cxr),
        }
    )
    times = ("admit_time", "discharge_time", "record_time")
    ids = pl.col("record_id").cast(pl.String).str.zfill(12)
    return tuple(  # type: ignore[return-value]
        frame.with_columns(
            ids, *[pl.from_epoch(name).cast(pl.Datetime("us")) for name in times if name in frame.columns]
        )
        for frame in (ehr, cxr)
    )


def count_pairs(ehr: pl.DataFrame, cxr: pl.DataFrame) -> int:
    """Pairs by binary search: each admission's window in the images sorted by subject and time."""

    def place(frame: pl.DataFrame, name: str, shift: int) -> np.ndarray:
        return (
            (frame["subject_id"].to_numpy() - 10_000_000) * 10_000_000_000
            + frame[name].dt.epoch("s").to_numpy()
            + shift
        )

    found = np.sort(place(cxr, "record_time", 0))
    low = np.searchsorted(found, place(ehr, "admit_time", -THETA_DAYS * DAY), side="left")
    return int((np.searchsorted(found, place(ehr, "discharge_time", THETA_DAYS * DAY), side="right") - low).sum())


if __name__ == "__main__":
    main()
