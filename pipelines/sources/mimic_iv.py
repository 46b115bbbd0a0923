"""MIMIC-IV 2.2 to 3.1, modules hosp and icu: the tables that the graph reads.

The CSV headers carry the contract's own column names; columns that came later (provider and caregiver ids) and all
others that the graph does not read are ignored.
"""

from pipelines.sources.raw_table import RawTable, Source

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
}
_FURTHER = {
    "microbiologyevents": "hosp",
    "procedures_icd": "hosp",
    "d_icd_procedures": "hosp",
    "inputevents": "icu",
    "outputevents": "icu",
    "procedureevents": "icu",
    "datetimeevents": "icu",
}


def _tables(files: dict[str, str], *, optional: bool) -> tuple[RawTable, ...]:
    return tuple(
        RawTable(table=f"mimic_iv__{name}", source="mimic_iv", files=(f"{folder}/{name}.csv.gz",), optional=optional)
        for name, folder in files.items()
    )


SOURCE = Source(
    name="mimic_iv",
    required=True,
    tables=(*_tables(_NEEDED, optional=False), *_tables(_FURTHER, optional=True)),
    where="physionet.org/content/mimiciv: the folder that holds hosp/ and icu/ (the open mimic-iv-demo works too)",
    folder="mimic-iv",
)
