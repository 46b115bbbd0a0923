"""The open slices of the real MIMIC-III and MIMIC-IV demos in one set of tables: exact counts."""

import polars as pl
import pytest

from pipelines.features.codes import code_mappings
from pipelines.features.demographics_shift import demographics_shift
from pipelines.sources import SOURCES

FILES = {
    "ehr_records": "records/ehr_records.sql",
    "ehr_stays": "records/ehr_stays.sql",
    "admission_diagnoses": "records/admission_diagnoses.sql",
    "ehr_codes": "records/ehr_codes.sql",
    "ehr_notes": "records/ehr_notes.sql",
    "ehr_demographics": "records/ehr_demographics.sql",
    "cohort_split": "links/cohort_split.sql",
    "diagnosis_vocabulary": "features/diagnosis_vocabulary.sql",
    "drug_vocabulary": "features/drug_vocabulary.sql",
    "diagnosis_histories": "links/diagnosis_histories.sql",
    "vocabulary_coverage": "features/vocabulary_coverage.sql",
}
FOLDERS = {"mimic_iv": "mimic-iv-demo-25pt", "mimic_iii": "mimic-iii-demo-10pt"}
READ = ("patients", "admissions", "icustays", "diagnoses_icd", "prescriptions", "noteevents")


@pytest.fixture(scope="module")
def raw_tables(open_data) -> dict[str, pl.DataFrame]:
    return {
        table.table: table.read(open_data / folder).drop("_rejected").collect()
        for source, folder in FOLDERS.items()
        for table in SOURCES[source].tables
        if table.table.removeprefix(f"{source}__") in READ
    }


@pytest.fixture
def build(raw_tables, database):
    """Fills the database with both slices and the mappings, and builds every table."""

    def _build(**settings):
        database.set(**settings)
        database.fill({**raw_tables, "code_mappings": code_mappings()})
        return {table: database.build(table, file) for table, file in FILES.items()}

    return _build


def test_records_of_both_slices(build, database) -> None:
    built = build(diagnosis_grouping="gem")
    per_database = {
        table: dict(sorted(built[table].group_by(pl.col("database").cast(pl.String)).len().iter_rows()))
        for table in ("ehr_records", "ehr_stays", "admission_diagnoses")
    }
    assert per_database == {
        "ehr_records": {"mimic_iii": 11, "mimic_iv": 29},
        "ehr_stays": {"mimic_iii": 12, "mimic_iv": 31},
        "admission_diagnoses": {"mimic_iii": 133, "mimic_iv": 993},
    }
    assert built["ehr_stays"].group_by("system").len().sort("system").rows() == [
        ("carevue", 5),
        ("metavision", 7),
        ("mimic_iv", 31),
    ]
    assert built["ehr_notes"].is_empty()
    assert database.run("queries/code_mapping_coverage.sql").drop("share_mapped").rows() == [
        ("mimic_iii", 9, "ccsr", 96, 82),
        ("mimic_iii", 9, "gem", 96, 69),
        ("mimic_iv", 9, "ccsr", 320, 306),
        ("mimic_iv", 9, "gem", 320, 259),
        ("mimic_iv", 10, "ccsr", 205, 205),
        ("mimic_iv", 10, "gem", 205, 0),
    ]
    for check in sorted((database.sql / "checks").glob("*.sql")):
        if check.stem.split("__")[0] in FILES:
            assert database.run(f"checks/{check.name}").is_empty(), check.name


def test_records_of_mimic_iv_are_the_same_without_mimic_iii(build, raw_tables, database) -> None:
    beside = build(diagnosis_grouping="gem", ehr_holdout_share=0.3)
    database.fill({table: rows.clear() for table, rows in raw_tables.items() if table.startswith("mimic_iii__")})
    for table, file in FILES.items():
        alone = database.build(table, file)
        kept = beside[table]
        if "database" in kept.columns:
            kept = kept.filter(database="mimic_iv")
        elif "subject_id" in kept.columns:
            kept = kept.filter(pl.col("subject_id") >= 100_000)
        assert alone.equals(kept), table


@pytest.mark.parametrize(
    ("grouping", "num_entries", "num_codes", "num_unknown"),
    [("raw", 408, 133, 60), ("gem", 349, 133, 49), ("category", 269, 126, 21), ("ccsr", 167, 120, 21)],
)
def test_coarser_groupings_share_more_codes(build, grouping, num_entries, num_codes, num_unknown) -> None:
    """Entries of the vocabulary; codes of MIMIC-III's records, and those of them that it does not hold."""
    built = build(diagnosis_grouping=grouping)
    coverage = built["vocabulary_coverage"].filter(database="mimic_iii")
    diagnoses, drugs = coverage.sort("kind").select("num_codes", "num_out_of_vocabulary").rows()
    assert built["diagnosis_vocabulary"].height == num_entries
    assert diagnoses == (num_codes, num_unknown)
    assert drugs == (278, 42)
    histories = built["diagnosis_histories"].filter(pl.col("subject_id") < 100_000)
    assert histories.height == 11
    assert histories["num_codes"].min() > 0
    assert coverage["num_records_without_codes"].sort().to_list() == [0, 1]


def test_demographics_give_the_slices_away(build) -> None:
    built = build()
    databases = built["ehr_records"].select("hadm_id", "database")
    shift = demographics_shift(built["ehr_demographics"].join(databases, on="hadm_id"))
    assert shift["encoded_column"].to_list() == [
        "care_unit_group_medical",
        "insurance_group_medicare",
        "care_unit_group_trauma",
    ]
    assert shift["auroc"].unique().round(3).to_list() == [0.865]
    assert shift.select("num_folds", "num_records", "num_mimic_iv_records").unique().rows() == [(5, 11, 29)]
