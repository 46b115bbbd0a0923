"""The open slice of the real MIMIC-IV demo is read without a single rejected row."""

from pathlib import Path

import pytest

from data_contracts import CONTRACTS
from pipelines.sources import SOURCES

NUM_ROWS = {
    "mimic_iv__patients": 25,
    "mimic_iv__admissions": 57,
    "mimic_iv__diagnoses_icd": 993,
    "mimic_iv__d_icd_diagnoses": 88_611,
    "mimic_iv__prescriptions": 3_917,
    "mimic_iv__labevents": 21_767,
    "mimic_iv__d_labitems": 1_622,
    "mimic_iv__icustays": 31,
    "mimic_iv__chartevents": 162_558,
    "mimic_iv__d_items": 4_014,
    "mimic_iv__microbiologyevents": 722,
    "mimic_iv__procedures_icd": 171,
    "mimic_iv__d_icd_procedures": 82_485,
    "mimic_iv__inputevents": 4_988,
    "mimic_iv__outputevents": 2_409,
    "mimic_iv__procedureevents": 349,
    "mimic_iv__datetimeevents": 3_779,
}


@pytest.mark.parametrize("table", SOURCES["mimic_iv"].tables, ids=lambda table: table.table)
def test_every_row_is_typed_and_valid(table, open_data: Path) -> None:
    rows = table.read(open_data / "mimic-iv-demo-25pt").collect(engine="streaming")
    assert rows.height == NUM_ROWS[table.table]
    assert rows["_rejected"].null_count() == rows.height
    assert CONTRACTS[table.table].is_valid(rows.drop("_rejected"))
