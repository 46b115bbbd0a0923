"""Renders procedures_icd and d_icd_procedures of MIMIC-IV: what was done in the stays, as billing coded it later."""

import numpy as np
import polars as pl

from pipelines.synthetic.cohort import Cohort

COLUMNS = {
    "procedures_icd": "subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version",
    "d_icd_procedures": "icd_code,icd_version,long_title",
}
# what began in a stay -> ICD version -> codes
CODES: dict[str, dict[int, tuple[str, ...]]] = {
    "invasive": {9: ("9604", "9672"), 10: ("0BH17EZ", "5A1955Z")},
    "noninvasive": {9: ("9390",), 10: ("5A09357",)},
    "pressor": {9: ("3893",), 10: ("02HV33Z",)},
}
TITLES = {
    ("9604", 9): "Insertion of endotracheal tube",
    ("9672", 9): "Continuous invasive mechanical ventilation for 96 consecutive hours or more",
    ("9390", 9): "Non-invasive mechanical ventilation",
    ("3893", 9): "Venous catheterization, not elsewhere classified",
    ("0BH17EZ", 10): "Insertion of Endotracheal Airway into Trachea, Via Natural or Artificial Opening",
    ("5A1955Z", 10): "Respiratory Ventilation, Greater than 96 Consecutive Hours",
    ("5A09357", 10): "Assistance with Respiratory Ventilation, Less than 24 Consecutive Hours, CPAP",
    ("02HV33Z", 10): "Insertion of Infusion Device into Superior Vena Cava, Percutaneous Approach",
}


def procedure_tables(cohort: Cohort, versions: dict[int, int]) -> dict[str, pl.DataFrame]:
    """Render both tables.

    Args:
        cohort: whose stays they are.
        versions: row of `Admissions` -> 9 or 10.
    """
    subjects, admissions, stays = cohort.subjects, cohort.admissions, cohort.stays
    rows: list[tuple[object, ...]] = []
    done: dict[int, set[str]] = {}
    for row, admission in enumerate(stays.admission.tolist()):
        for name, codes in CODES.items():
            if np.isnan(onset := stays.onset[name][row]):
                continue
            day = str((stays.intime[row] + np.timedelta64(int(onset), "s")).astype("datetime64[D]"))
            for code in codes[versions[admission]]:
                if code in (known := done.setdefault(admission, set())):
                    continue
                known.add(code)
                subject_id, hadm_id = int(subjects.subject_id[admissions.subject[admission]]), admissions.hadm_id
                rows.append((subject_id, int(hadm_id[admission]), len(known), day, code, versions[admission]))
    titles = sorted((code, version, title) for (code, version), title in TITLES.items())
    schema = {"subject_id": pl.Int64(), "hadm_id": pl.Int64(), "seq_num": pl.Int64(), "chartdate": pl.String()}
    codes_schema: dict[str, pl.DataType] = {**schema, "icd_code": pl.String(), "icd_version": pl.Int64()}
    return {
        "procedures_icd": pl.DataFrame(rows, schema=codes_schema, orient="row"),
        "d_icd_procedures": pl.DataFrame(titles, schema=COLUMNS["d_icd_procedures"].split(","), orient="row"),
    }
