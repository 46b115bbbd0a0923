"""MIMIC-IV 2.2 to 3.1, modules hosp and icu: the tables that the graph reads.

The CSV headers carry the contract's own column names; columns that came later (provider and caregiver ids) and all
others that the graph does not read are ignored.

What tells the releases apart (release notes on PhysioNet): provider and caregiver ids came with 2.2, patients of 2020
to 2022 with 3.0. 3.0 gave some laboratory items other ids than 2.2, by mistake, and 3.1 took that back; the absolute
lymphocyte count of the chemistry laboratory is one of them.
"""

import functools
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


_COLUMNS = {
    "hosp/patients.csv.gz": ("subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod"),
    "hosp/admissions.csv.gz": ("subject_id", "hadm_id", "admittime", "dischtime", "admit_provider_id", "race"),
    "hosp/labevents.csv.gz": ("labevent_id", "subject_id", "itemid", "order_provider_id", "charttime", "valuenum"),
    "hosp/d_labitems.csv.gz": ("itemid", "label", "fluid", "category"),
    "icu/icustays.csv.gz": ("subject_id", "hadm_id", "stay_id", "intime", "outtime"),
    "icu/chartevents.csv.gz": ("subject_id", "hadm_id", "stay_id", "caregiver_id", "charttime", "itemid", "value"),
}
_FIRST_GROUP_OF_3 = "2020 - 2022"


_LYMPHOCYTES = "Absolute Lymphocyte Count"
_LYMPHOCYTES_ITEM = "53132"
_LYMPHOCYTES_ITEM_OF_3_0 = "53152"


def _reaches_2020(root: Path) -> bool:
    path = find_below(root, "hosp/patients.csv.gz")
    assert path is not None
    status = path.stat()
    return _last_group(path, status.st_mtime_ns, status.st_size) >= _FIRST_GROUP_OF_3


@functools.lru_cache(maxsize=8)
def _last_group(path: Path, mtime_ns: int, num_bytes: int) -> str:
    """Return the last anchor_year_group of a file; every table asks for it, so a file is read once."""
    groups = scan_csv(path, columns={"group": "anchor_year_group"}, table="mimic_iv__patients")
    return groups.select(pl.col("group").max()).collect().item() or ""


def _has_lymphocytes_at(item: str, root: Path) -> bool | None:
    """Return whether an item is the lymphocyte count, None where the dictionary does not name the item."""
    path = find_below(root, "hosp/d_labitems.csv.gz")
    assert path is not None
    items = scan_csv(path, columns={"item": "itemid", "label": "label"}, table="mimic_iv__d_labitems")
    labels = items.filter(pl.col("item") == item).collect()["label"].to_list()
    return _LYMPHOCYTES in labels if labels else None


def _is_2_2(root: Path) -> bool:
    return not has_open_licence(root) and not _reaches_2020(root)


def _is_3_0(root: Path) -> bool:
    return _is_3(root) and _has_lymphocytes_at(_LYMPHOCYTES_ITEM, root) is not True


def _is_3_1(root: Path) -> bool:
    return _is_3(root) and _has_lymphocytes_at(_LYMPHOCYTES_ITEM_OF_3_0, root) is not True


def _is_3(root: Path) -> bool:
    return not has_open_licence(root) and _reaches_2020(root)


_LATE = f"an anchor_year_group from {_FIRST_GROUP_OF_3} on in patients"

SOURCE = Source(
    name="mimic_iv",
    required=True,
    tables=(*_tables(_NEEDED, optional=False), *_tables(_FOR_QUERIES, optional=True)),
    where="physionet.org/content/mimiciv: the folder that holds hosp/ and icu/ (the open mimic-iv-demo works too)",
    folder="mimic-iv",
    releases=(
        Release(name="demo 2.2", columns=_COLUMNS, sign="the open licence", look=has_open_licence),
        Release(name="2.2", columns=_COLUMNS, sign=f"not {_LATE}", look=_is_2_2),
        Release(name="3.0", columns=_COLUMNS, sign=f"{_LATE}, {_LYMPHOCYTES} is not {_LYMPHOCYTES_ITEM}", look=_is_3_0),
        Release(name="3.1", columns=_COLUMNS, sign=f"{_LATE}, {_LYMPHOCYTES} is {_LYMPHOCYTES_ITEM}", look=_is_3_1),
    ),
)
