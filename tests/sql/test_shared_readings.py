"""The shared feature space: harmonisation traps one by one, and what the open slices show of it in three systems."""

import polars as pl
import pytest

from pipelines.features.concepts import read_concepts
from pipelines.sources import SOURCES

SLICES = {"mimic_iv": "mimic-iv-demo-25pt", "mimic_iii": "mimic-iii-demo-10pt"}
DICTIONARIES = {"carevue": "mimic_iii", "metavision": "mimic_iii", "mimic_iv": "mimic_iv"}


@pytest.fixture
def shared(database):
    database.fill({"concept_items": read_concepts()})

    def build(*rows):
        """(variable, number or text) readings as the (concept, number) they become."""
        readings = [
            {
                "subject_id": 1,
                "hadm_id": 10,
                "stay_id": 100,
                "variable": variable,
                "offset_hours": 1.0,
                "known_hours": 2.0,
                "known_is_assumed": False,
                **({"value": shown} if isinstance(shown, str) else {"value_number": shown}),
            }
            for variable, shown in rows
        ]
        database.fill({"ehr_readings": readings})
        made = database.build("ehr_shared_readings", "records/ehr_shared_readings.sql")
        assert made["value"].null_count() == made.height
        return sorted(made.select("variable", "value_number").rows())

    return build


@pytest.mark.parametrize(
    ("variable", "shown", "concept", "number"),
    [
        ("chart_190", 0.5, "inspired_oxygen", 50.0),  # a fraction, labelled torr
        ("chart_190", 50.0, "inspired_oxygen", 50.0),
        ("chart_3420", 40.0, "inspired_oxygen", 40.0),
        ("chart_223835", 1.0, "inspired_oxygen", 100.0),
        ("chart_678", 98.6, "temperature", 37.0),
        ("chart_676", 37.2, "temperature", 37.2),
        ("chart_223762", 99.0, "temperature", 37.22),  # Fahrenheit under the id of Celsius
        ("chart_3581", 200.0, "weight", 90.72),
        ("chart_763", 90.0, "weight", 90.0),
        ("chart_920", 70.0, "height", 177.8),
        ("chart_226730", 178.0, "height", 178.0),
        ("lab_50912", "1.1 ", "creatinine", 1.1),
        ("output_40055", 80.0, "urine", 80.0),
        ("micro_70012", 1.0, "blood_culture_drawn", 1.0),
        ("chart_720", "Assist Control", "ventilator_mode_noted", 1.0),
        ("chart_223849", 11.0, "ventilator_mode_noted", 1.0),
        ("amount_30047", 4.0, "norepinephrine", 1.0),  # an amount without rate: it was given
    ],
)
def test_numbers_get_the_unit_of_their_concept(shared, variable, shown, concept, number) -> None:
    assert shared((variable, shown)) == [(concept, number)]


def test_a_pressor_shows_that_it_runs_and_how_fast(shared) -> None:
    assert shared(("input_30120", 0.3)) == [("norepinephrine", 1.0), ("norepinephrine_rate", 0.3)]
    assert shared(("input_221906", 0.3)) == [("norepinephrine", 1.0), ("norepinephrine_rate", 0.3)]
    assert shared(("input_30047", 8.0)) == [("norepinephrine", 1.0)]  # not by weight: no rate to compare


@pytest.mark.parametrize(
    ("variable", "shown"),
    [
        ("input_30120", 0.0),  # set to nothing
        ("chart_677", 37.0),  # repeats 678
        ("chart_829", 4.0),  # the laboratory's potassium, charted again
        ("chart_1535", 4.0),
        ("chart_223830", 7.4),
        ("input_42273", 2.4),  # rate and amount are swapped
        ("chart_720", "Other/Remarks"),
        ("chart_211", 999.0),  # no heart beats like this
        ("chart_211", "see notes"),
        ("lab_50912", ">40"),
        ("chart_220739", float("nan")),
    ],
)
def test_what_is_unmapped_or_no_measurement_is_missing(shared, variable, shown) -> None:
    assert shared((variable, shown)) == []


def test_coverage_counts_stays_of_every_system(shared, database) -> None:
    stays = [(100, "carevue"), (200, "carevue"), (300, "mimic_iv"), (400, "both")]
    database.fill({"ehr_stays": [{"stay_id": stay, "system": system} for stay, system in stays]})
    shared(("chart_211", 80.0), ("chart_211", 90.0))
    coverage = database.build("concept_coverage", "features/concept_coverage.sql")
    rows = coverage.filter(pl.col("concept") == "heart_rate").drop("unit", "concept").rows()
    assert rows == [("both", 2, 1, 0, 0.0), ("carevue", 1, 2, 1, 0.5), ("mimic_iv", 1, 1, 0, 0.0)]


@pytest.fixture(scope="module")
def raw_tables(open_data) -> dict[str, pl.DataFrame]:
    wanted = [(source, table) for source in SLICES for table in SOURCES[source].tables]
    return {
        table.table: table.read(open_data / SLICES[source]).drop("_rejected").collect()
        for source, table in wanted
        if not table.table.endswith(("noteevents", "prescriptions"))
    }


def test_every_mapped_id_is_in_the_dictionary_of_its_system_under_the_label_of_its_evidence(raw_tables) -> None:
    for system, rows in read_concepts().group_by("system"):
        database = DICTIONARIES[str(system[0])]
        items = dict(raw_tables[f"{database}__d_items"].select("itemid", "label").iter_rows())
        labs = dict(raw_tables[f"{database}__d_labitems"].select("itemid", "label").iter_rows())
        for variable, evidence in rows.select("variable", "evidence").iter_rows():
            kind, itemid = variable.split("_")
            label = (labs if kind == "lab" else items).get(int(itemid))
            if kind == "micro" and database == "mimic_iv":  # its specimens are in no dictionary
                continue
            assert label, (system, variable)
            assert evidence.startswith(f"d_{'lab' if kind == 'lab' else ''}items: {label.strip()}"), (
                variable,
                evidence,
            )


def test_the_three_systems_agree_in_the_open_slices(raw_tables, database) -> None:
    database.fill({**raw_tables, "concept_items": read_concepts()})
    for table in ("ehr_records", "ehr_stays", "ehr_readings", "ehr_shared_readings"):
        database.build(table, f"records/{table}.sql")
    medians = {
        (concept, system): median
        for concept, system, median in database.select(
            "select variable, system, median(value_number) from ehr_shared_readings join ehr_stays using (stay_id) "
            "group by all"
        ).iter_rows()
    }
    within = {
        "heart_rate": (80, 95),
        "systolic_pressure_cuff": (105, 125),
        "diastolic_pressure_cuff": (50, 62),
        "respiratory_rate": (17, 24),
        "oxygen_saturation": (95, 98),
        "temperature": (36.3, 37.3),
        "inspired_oxygen": (40, 70),
        "gcs_motor": (6, 6),
        "glucose_finger_stick": (115, 140),
        "sodium": (135, 140),
        "potassium": (3.7, 4.1),
        "creatinine": (1.2, 1.8),
        "hemoglobin": (9.5, 11.5),
        "blood_gas_ph": (7.3, 7.4),
        "tidal_volume_set": (450, 450),
        "heparin_rate": (900, 1000),
        "urine": (50, 80),
    }
    found = {
        concept: [medians[concept, system] for system in ("carevue", "metavision", "mimic_iv")] for concept in within
    }
    assert {
        name: shown for name, shown in found.items() if not all(within[name][0] <= x <= within[name][1] for x in shown)
    } == {}
    coverage = database.build("concept_coverage", "features/concept_coverage.sql")
    everywhere = (
        coverage.filter(pl.col("num_stays_with_value") > 0).group_by("concept").len().filter(pl.col("len") == 3)
    )
    assert coverage["concept"].n_unique() == 185
    assert everywhere.height >= 80
