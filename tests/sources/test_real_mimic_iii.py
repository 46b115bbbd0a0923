"""The open slice of the real MIMIC-III demo is read without a single rejected row, in either case of letters."""

import gzip
from pathlib import Path

import pytest

from data_contracts import CONTRACTS
from pipelines.sources import SOURCES, TABLES

NUM_ROWS = {
    "patients": 10,
    "admissions": 11,
    "icustays": 12,
    "diagnoses_icd": 133,
    "d_icd_diagnoses": 14_567,
    "prescriptions": 650,
    "noteevents": 0,
    "chartevents": 31_722,
    "labevents": 5_766,
    "inputevents_cv": 1_993,
    "inputevents_mv": 287,
    "outputevents": 542,
    "procedureevents_mv": 48,
    "datetimeevents": 221,
    "microbiologyevents": 121,
    "d_items": 12_487,
    "d_labitems": 753,
}


@pytest.fixture(scope="module")
def slice_root(open_data: Path) -> Path:
    return open_data / "mimic-iii-demo-10pt"


@pytest.mark.parametrize("table", SOURCES["mimic_iii"].tables, ids=lambda table: table.table)
def test_every_row_is_typed_and_valid(table, slice_root: Path) -> None:
    rows = table.read(slice_root).collect(engine="streaming")
    assert rows.height == NUM_ROWS[table.table.removeprefix("mimic_iii__")]
    assert rows["_rejected"].null_count() == rows.height
    assert CONTRACTS[table.table].is_valid(rows.drop("_rejected"))


@pytest.mark.parametrize("name", ["chartevents", "inputevents_cv", "icustays", "d_labitems"])
def test_letters_of_names_and_headers_and_compression_do_not_matter(
    name: str, slice_root: Path, tmp_path: Path
) -> None:
    header, rest = gzip.decompress((slice_root / f"{name.upper()}.csv.gz").read_bytes()).split(b"\n", 1)
    (tmp_path / f"{name}.csv").write_bytes(header.upper() + b"\n" + rest)
    expected = TABLES[f"mimic_iii__{name}"].read(slice_root).collect()
    assert TABLES[f"mimic_iii__{name}"].read(tmp_path).collect().equals(expected)
    assert TABLES[f"mimic_iii_carevue__{name}"].read(tmp_path).collect().equals(expected)


def test_carevue_rows_have_no_error_flag_and_metavision_rows_do(slice_root: Path) -> None:
    systems = TABLES["mimic_iii__icustays"].read(slice_root).select("icustay_id", "dbsource")
    rows = TABLES["mimic_iii__chartevents"].read(slice_root).join(systems, on="icustay_id").collect()
    known = {system: frame["error"].is_not_null().sum() for (system,), frame in rows.group_by("dbsource")}
    assert known["carevue"] == 0 < known["metavision"]
