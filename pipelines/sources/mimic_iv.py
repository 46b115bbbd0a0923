"""MIMIC-IV 2.2 to 3.1, modules hosp and icu: the tables that the graph reads.

The CSV headers carry the contract's own column names; columns that came later (provider and caregiver ids) and all
others that the graph does not read are ignored.
"""

from pathlib import Path

import polars as pl

from pipelines.sources.csv_files import scan_csv
from pipelines.sources.files_below import find_below
from pipelines.sources.raw_table import RawTable, Source
from pipelines.sources.releases import Release, has_open_licence

_NEEDED = {
    "patients": "hosp",
    "admissions": "hosp",
    "diagnoses_icd": "hosp",
    "d_icd_diagnoses": "hosp",
    "prescriptions": "hosp",
    "labevents": "hosp",
    "d_labitems": "hosp",
    "icustays": "icu",
    "chartevents": "icu",
    "d_items": "icu",
    "microbiologyevents": "hosp",
    "inputevents": "icu",
    "outputevents": "icu",
    "procedureevents": "icu",
    "datetimeevents": "icu",
}
_FOR_QUERIES = {"procedures_icd": "hosp", "d_icd_procedures": "hosp"}


def _tables(files: dict[str, str], *, optional: bool) -> tuple[RawTable, ...]:
    return tuple(
        RawTable(table=f"mimic_iv__{name}", source="mimic_iv", files=(f"{folder}/{name}.csv.gz",), optional=optional)
        for name, folder in files.items()
    )


# Ids of providers and caregivers came with 2.2; before it, race was called ethnicity.
_COLUMNS = {
    "hosp/patients.csv.gz": ("subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod"),
    "hosp/admissions.csv.gz": ("subject_id", "hadm_id", "admittime", "dischtime", "admit_provider_id", "race"),
    "hosp/labevents.csv.gz": ("labevent_id", "subject_id", "itemid", "order_provider_id", "charttime", "valuenum"),
    "icu/icustays.csv.gz": ("subject_id", "hadm_id", "stay_id", "intime", "outtime"),
    "icu/chartevents.csv.gz": ("subject_id", "hadm_id", "stay_id", "caregiver_id", "charttime", "itemid", "value"),
}
_FIRST_GROUP_OF_3 = "2020 - 2022"


def _reaches_2020(root: Path) -> bool:
    path = find_below(root, "hosp/patients.csv.gz")
    assert path is not None
    groups = scan_csv(path, columns={"group": "anchor_year_group"}, table="mimic_iv__patients")
    return not groups.filter(pl.col("group") >= _FIRST_GROUP_OF_3).head(1).collect().is_empty()


_LATE = f"an anchor_year_group from {_FIRST_GROUP_OF_3} on in patients"

SOURCE = Source(
    name="mimic_iv",
    required=True,
    tables=(*_tables(_NEEDED, optional=False), *_tables(_FOR_QUERIES, optional=True)),
    where="physionet.org/content/mimiciv: the folder that holds hosp/ and icu/ (the open mimic-iv-demo works too)",
    folder="mimic-iv",
    releases=(
        Release(name="demo 2.2", columns=_COLUMNS, sign="the open licence", look=has_open_licence),
        Release(
            name="2.2",
            columns=_COLUMNS,
            sign=f"not {_LATE}",
            look=lambda root: not has_open_licence(root) and not _reaches_2020(root),
        ),
        *(
            Release(
                name=name,
                columns=_COLUMNS,
                sign=_LATE,
                look=lambda root: not has_open_licence(root) and _reaches_2020(root),
            )
            for name in ("3.0", "3.1")
        ),
    ),
)
