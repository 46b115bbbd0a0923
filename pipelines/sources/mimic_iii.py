"""MIMIC-III 1.4: one folder of files; names and headers in upper case (the full release) or lower case (the demo)."""

from pipelines.sources.raw_table import RawTable, Source
from pipelines.sources.releases import Release, has_open_licence

TABLES = (
    "patients",
    "admissions",
    "icustays",
    "diagnoses_icd",
    "d_icd_diagnoses",
    "prescriptions",
    "noteevents",
    "chartevents",
    "labevents",
    "inputevents_cv",
    "inputevents_mv",
    "outputevents",
    "procedureevents_mv",
    "datetimeevents",
    "microbiologyevents",
    "d_items",
    "d_labitems",
)


def tables_of(source: str, *, without: frozenset[str] = frozenset()) -> tuple[RawTable, ...]:
    """Return the tables of a source in MIMIC-III's layout.

    Args:
        source: name of the source.
        without: tables whose file may be missing; they are empty then.
    """
    return tuple(
        RawTable(table=f"{source}__{name}", source=source, files=(f"{name.upper()}.csv.gz",), optional=name in without)
        for name in TABLES
    )


COLUMNS = {
    "PATIENTS.csv.gz": ("subject_id", "gender", "dob", "dod", "expire_flag"),
    "ADMISSIONS.csv.gz": ("subject_id", "hadm_id", "admittime", "dischtime", "ethnicity", "has_chartevents_data"),
    "ICUSTAYS.csv.gz": ("subject_id", "hadm_id", "icustay_id", "dbsource", "intime", "outtime"),
    "CHARTEVENTS.csv.gz": ("subject_id", "icustay_id", "itemid", "charttime", "value", "valuenum", "error"),
    "INPUTEVENTS_CV.csv.gz": ("subject_id", "icustay_id", "charttime", "itemid", "amount", "rate"),
    "NOTEEVENTS.csv.gz": ("subject_id", "hadm_id", "chartdate", "category", "iserror", "text"),
}
"""Columns by which MIMIC-III 1.4 is known, and its CareVue subset."""

SOURCE = Source(
    name="mimic_iii",
    required=False,
    tables=tables_of("mimic_iii"),
    where="physionet.org/content/mimiciii: the folder that holds ADMISSIONS.csv.gz (the open mimiciii-demo works too)",
    folder="mimic-iii",
    releases=(
        Release(name="demo 1.4", columns=COLUMNS, sign="the open licence", look=has_open_licence),
        Release(name="1.4", columns=COLUMNS, sign="no open licence", look=lambda root: not has_open_licence(root)),
    ),
)
