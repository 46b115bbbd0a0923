"""MIMIC-III 1.4: one folder of files; names and headers in upper case (the full release) or lower case (the demo)."""

from pipelines.sources.raw_table import RawTable, Source

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


SOURCE = Source(
    name="mimic_iii",
    required=False,
    tables=tables_of("mimic_iii"),
    where="physionet.org/content/mimiciii: the folder that holds ADMISSIONS.csv.gz (the open mimiciii-demo works too)",
    folder="mimic-iii",
)
