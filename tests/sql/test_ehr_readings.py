"""Readings of every event table by hand-computed rows: their stay and hour, what they show, and when it is known."""

from datetime import datetime, timedelta

import polars as pl
import pytest

STAYS = [
    ("mimic_iv", "mimic_iv", 1, 10, 100),
    ("mimic_iii", "metavision", 2, 20, 200),
    ("mimic_iii", "carevue", 3, 30, 300),
    ("mimic_iii_carevue", "carevue", 4, 40, 400),
]
"""One stay per database and system, each from 2180-01-02 00:00."""
IN_III = {"subject_id": 2, "hadm_id": 20, "icustay_id": 200}
IN_CAREVUE = {"subject_id": 3, "hadm_id": 30, "icustay_id": 300}
IN_SUBSET = {"subject_id": 4, "hadm_id": 40, "icustay_id": 400}
IN_IV = {"subject_id": 1, "hadm_id": 10, "stay_id": 100}


def at(hours: float) -> str:
    """The time so many hours after the start of every stay."""
    return f"{datetime(2180, 1, 2) + timedelta(hours=hours):%Y-%m-%d %H:%M:%S}"


@pytest.fixture
def stays(database):
    keys = ("database", "system", "subject_id", "hadm_id", "stay_id")
    database.fill({"ehr_stays": [{**dict(zip(keys, stay, strict=True)), "in_time": at(0)} for stay in STAYS]})
    return database


def readings(database, **tables) -> list[tuple]:
    """(stay, variable, offset, value, number, known, assumed) of the planted tables; hours to four digits."""
    database.fill(tables)
    rows = database.build("ehr_readings", "records/ehr_readings.sql")
    assert database.run("checks/ehr_readings__inside_window.sql").is_empty()
    return (
        rows.drop("subject_id", "hadm_id")
        .with_columns(pl.col("offset_hours", "known_hours", "value_number").round(4))
        .rows()
    )


def test_charted_temperatures_weights_and_heights_have_one_unit_each(stays) -> None:
    charted = {**IN_IV, "charttime": at(1), "storetime": at(1.5)}
    rows = readings(
        stays,
        mimic_iv__chartevents=[
            {**charted, "itemid": 223761, "value": "98.6", "valuenum": 98.6},
            {**charted, "itemid": 223762, "value": "36", "valuenum": 36.0},
            {**charted, "itemid": 223762, "value": "99.5", "valuenum": 99.5},  # Fahrenheit under the id of Celsius
            {**charted, "itemid": 223761, "value": "38", "valuenum": 38.0},  # and the other way round
            {**charted, "itemid": 226531, "value": "200", "valuenum": 200.0},
            {**charted, "itemid": 226707, "value": "70", "valuenum": 70.0},
            {**charted, "itemid": 220045, "value": "80", "valuenum": 80.0},
        ],
    )
    assert [(variable, value, number) for _, variable, _, value, number, _, _ in rows] == [
        ("chart_220045", "80", 80.0),
        ("chart_223762", "36", 36.0),
        ("chart_223762", "38", 38.0),
        ("chart_223762", "98.6", 37.0),
        ("chart_223762", "99.5", 37.5),
        ("chart_226512", "200", 90.72),
        ("chart_226730", "70", 177.8),
    ]
    assert {row[2:3] + row[5:] for row in rows} == {(1.0, 1.5, False)}


def test_rows_in_error_are_left_out_and_rows_of_unknown_error_are_not(stays) -> None:
    charted = {"charttime": at(1), "storetime": at(1), "value": "80", "valuenum": 80.0}
    dated = {"itemid": 225753, "charttime": at(2), "storetime": at(2), "value": at(-24)}
    made = {"itemid": 40055, "charttime": at(3), "storetime": at(3), "value": 50.0}
    errors = [None, 0, 1]
    rows = readings(
        stays,
        mimic_iii__chartevents=[
            *({**IN_III, **charted, "itemid": 220045 + n, "error": error} for n, error in enumerate(errors)),
            {**IN_CAREVUE, **charted, "itemid": 211},
            {**IN_SUBSET, **charted, "itemid": 211},  # the stay of another database
        ],
        mimic_iii_carevue__chartevents=[{**IN_SUBSET, **charted, "itemid": 211}, {**IN_III, **charted, "itemid": 211}],
        mimic_iii__datetimeevents=[{**IN_III, **dated, "error": error} for error in errors],
        mimic_iii__outputevents=[{**IN_CAREVUE, **made, "iserror": error} for error in errors],
    )
    assert [row[:2] for row in rows] == [
        (200, "chart_220045"),
        (200, "chart_220046"),
        *[(200, "datetime_225753")] * 2,
        (300, "chart_211"),
        *[(300, "output_40055")] * 2,
        (400, "chart_211"),
    ]
    assert {row[4] for row in rows if row[1].startswith("datetime")} == {-1.0}


def test_an_infusion_shows_its_rate_in_every_hour_that_it_touches(stays) -> None:
    drip = {**IN_IV, "itemid": 221906, "rateuom": "mcg/kg/min", "amount": 1.0, "amountuom": "mg"}
    rows = readings(
        stays,
        mimic_iv__inputevents=[
            {**drip, "starttime": at(-2), "endtime": at(0.25), "rate": 0.3, "storetime": at(-2)},
            {**drip, "starttime": at(0), "endtime": at(0), "rate": 0.5, "storetime": at(0)},
            {**drip, "starttime": at(1.5), "endtime": at(3), "rate": 0.1, "storetime": at(1.75)},
            {**drip, "starttime": at(3), "endtime": at(4.5), "rate": 0.2, "storetime": None},
            {**drip, "starttime": at(46.5), "endtime": at(60), "rate": 0.4, "storetime": at(61)},
            {**drip, "starttime": at(5), "endtime": at(9), "rate": 0.9, "statusdescription": "Rewritten "},
            {**drip, "starttime": at(-5), "endtime": at(-1), "rate": 0.9},
            {**drip, "starttime": at(48), "endtime": at(50), "rate": 0.9},
        ],
    )
    assert rows == [
        (100, "input_221906", 0.0, None, 0.3, 0.0, False),
        (100, "input_221906", 0.0, None, 0.5, 0.0, False),
        (100, "input_221906", 1.5, None, 0.1, 1.75, False),
        (100, "input_221906", 2.0, None, 0.1, 2.0, False),  # not hour 3: it ends there
        (100, "input_221906", 3.0, None, 0.2, 3.0, True),
        (100, "input_221906", 4.0, None, 0.2, 4.0, True),
        (100, "input_221906", 46.5, None, 0.4, 61.0, False),
        (100, "input_221906", 47.0, None, 0.4, 61.0, False),
    ]


def test_what_is_given_at_once_is_an_amount_known_when_it_ended(stays) -> None:
    dose = {**IN_III, "itemid": 225798, "starttime": at(2), "endtime": at(2.5)}
    rows = readings(
        stays,
        mimic_iii__inputevents_mv=[
            {**dose, "amount": 1.0, "amountuom": "grams", "storetime": at(2.25)},
            {**dose, "amount": 250.0, "amountuom": "mg", "storetime": at(3)},
            {**dose, "amount": 9.0, "amountuom": "mg", "statusdescription": "Rewritten"},
        ],
    )
    assert rows == [
        (200, "amount_225798", 2.0, None, 250.0, 3.0, False),
        (200, "amount_225798", 2.0, None, 1000.0, 2.5, False),
    ]


@pytest.mark.parametrize(
    ("itemid", "rate", "unit", "weight", "shown"),
    [
        (221906, 0.1, "mg/kg/min", 80.0, 100.0),
        (221749, 80.0, "mcg/min", 80.0, 1.0),
        (222315, 0.04, "units/min", 80.0, 2.4),
        (222315, 2.4, "units/hour", 80.0, 2.4),
        (221744, 50.0, "mcg/hour", 80.0, 0.05),
        (222168, 3.0, "mg/kg/hour", 80.0, 50.0),
        (225158, 75.0, "mL/hour", None, 75.0),
    ],
)
def test_rates_have_one_unit(stays, itemid, rate, unit, weight, shown) -> None:
    drip = {**IN_IV, "itemid": itemid, "starttime": at(1), "endtime": at(1.5), "storetime": at(1)}
    rows = readings(stays, mimic_iv__inputevents=[{**drip, "rate": rate, "rateuom": unit, "patientweight": weight}])
    assert rows == [(100, f"input_{itemid}", 1.0, None, shown, 1.0, False)]


def test_carevue_notes_rate_and_amount_at_one_moment_in_rows_of_their_own(stays) -> None:
    noted = {**IN_CAREVUE, "itemid": 30051, "charttime": at(5), "storetime": at(5.1)}
    rows = readings(
        stays,
        mimic_iii__inputevents_cv=[
            {**noted, "rate": 0.04, "rateuom": "Umin"},
            {**noted, "amount": 2.4, "amountuom": "U"},
            {**noted, "amount": 9.0, "amountuom": "U", "rate": 0.04, "rateuom": "Umin", "charttime": at(5.5)},
            {**noted, "rate": 0.0, "rateuom": "Umin", "charttime": at(6), "storetime": at(6)},
            {**noted, "charttime": at(7)},
        ],
        mimic_iii_carevue__inputevents_cv=[{**noted, **IN_SUBSET, "itemid": 30043, "rate": 5.0, "rateuom": "mcgkgmin"}],
    )
    assert rows == [
        (300, "amount_30051", 5.0, None, 2.4, 5.1, False),
        (300, "input_30051", 5.0, None, 2.4, 5.1, False),
        (300, "input_30051", 5.5, None, 2.4, 5.5, False),  # with a rate, the amount is what that rate gave
        (300, "input_30051", 6.0, None, 0.0, 6.0, False),
        (400, "input_30043", 5.0, None, 5.0, 5.1, False),
    ]


def test_a_procedure_shows_that_it_runs_not_how_long_and_is_known_at_its_end(stays) -> None:
    procedure = {"itemid": 225792, "value": 150.0, "valueuom": "min"}
    rows = readings(
        stays,
        mimic_iv__procedureevents=[
            {**IN_IV, **procedure, "starttime": at(1.5), "endtime": at(4), "storetime": at(3)},
            {**IN_IV, **procedure, "starttime": at(9), "endtime": at(9), "storetime": at(9.5)},  # a task
            {**IN_IV, **procedure, "starttime": at(5), "endtime": at(6), "statusdescription": "Rewritten"},
        ],
        mimic_iii__procedureevents_mv=[
            {**IN_III, **procedure, "starttime": at(47), "endtime": at(60), "storetime": None}
        ],
    )
    assert rows == [
        (100, "procedure_225792", 1.5, None, 1.0, 4.0, False),
        (100, "procedure_225792", 2.0, None, 1.0, 4.0, False),
        (100, "procedure_225792", 3.0, None, 1.0, 4.0, False),
        (100, "procedure_225792", 9.0, None, 1.0, 9.5, False),
        (200, "procedure_225792", 47.0, None, 1.0, 60.0, True),
    ]


def test_a_date_shows_its_distance_from_the_start_of_the_stay(stays) -> None:
    dated = {**IN_IV, "itemid": 224280, "charttime": at(4), "storetime": at(4.5)}
    outside = [{**dated, "value": at(-36), "charttime": at(hours)} for hours in (-1, 48)]
    rows = readings(stays, mimic_iv__datetimeevents=[{**dated, "value": at(-36)}, {**dated, "value": None}, *outside])
    assert rows == [(100, "datetime_224280", 4.0, None, -1.5, 4.5, False)]


def test_microbiology_shows_that_a_specimen_was_drawn_and_never_what_grew(stays) -> None:
    blood = {"subject_id": 1, "hadm_id": None, "spec_itemid": 70012, "chartdate": at(0), "charttime": at(3)}
    rows = readings(
        stays,
        mimic_iv__microbiologyevents=[
            {**blood, "microevent_id": n, "org_itemid": 80002, "ab_itemid": 90000 + n, "storetime": at(70)}
            for n in range(1, 4)
        ]
        + [{**blood, "microevent_id": 9, "spec_itemid": 70079, "charttime": None}],
        mimic_iii__microbiologyevents=[{**blood, "subject_id": 3, "hadm_id": 30}],
    )
    assert rows == [
        (100, "micro_70012", 3.0, None, 1.0, 3.0, True),
        (100, "micro_70079", 24.0, None, 1.0, 24.0, True),  # no hour: when the day is over
        (300, "micro_70012", 3.0, None, 1.0, 3.0, True),
    ]


def test_outputs_and_laboratory_results_of_every_database(stays) -> None:
    made = {"itemid": 226559, "charttime": at(2), "storetime": at(3), "value": 120.0}
    lab = {"itemid": 50912, "charttime": at(2), "value": "1.1", "valuenum": 1.1}
    rows = readings(
        stays,
        mimic_iv__outputevents=[{**IN_IV, **made}],
        mimic_iii__outputevents=[{**IN_III, **made}],
        mimic_iii__labevents=[{**lab, "subject_id": 2}, {**lab, "subject_id": 4}],
        mimic_iii_carevue__labevents=[{**lab, "subject_id": 4}],
    )
    assert rows == [
        (100, "output_226559", 2.0, None, 120.0, 3.0, False),
        (200, "lab_50912", 2.0, "1.1", 1.1, 2.0, True),  # MIMIC-III stores no time of its results
        (200, "output_226559", 2.0, None, 120.0, 3.0, False),
        (400, "lab_50912", 2.0, "1.1", 1.1, 2.0, True),
    ]


def test_nothing_is_known_before_it_was_taken(stays) -> None:
    charted = {**IN_IV, "itemid": 220045, "value": "80", "valuenum": 80.0, "charttime": at(5), "storetime": at(4)}
    assert readings(stays, mimic_iv__chartevents=[charted])[0][5] == 5.0


def test_stays_that_overlap_or_end_before_they_begin_are_said_and_read_as_they_stand(database) -> None:
    def stay(stay_id: int, begin: float, end: float | None, subject_id: int = 1) -> dict[str, object]:
        hadm_id, out_time = 10 * subject_id, None if end is None else at(end)
        ids = {"database": "mimic_iv", "system": "mimic_iv", "subject_id": subject_id, "hadm_id": hadm_id}
        return {**ids, "stay_id": stay_id, "in_time": at(begin), "out_time": out_time}

    stays = [stay(100, 0, 30), stay(101, 24, 60), stay(102, 70, 65), stay(103, 80, None), stay(200, 20, 40, 2)]
    database.fill({"ehr_stays": stays})
    charted = {**IN_IV, "itemid": 220045, "charttime": at(26), "storetime": at(27), "value": "80", "valuenum": 80.0}
    lab = {"itemid": 50912, "storetime": at(27), "value": "1.1", "valuenum": 1.1, "subject_id": 1}
    rows = readings(
        database,
        mimic_iv__chartevents=[charted],
        mimic_iv__labevents=[{**lab, "charttime": at(26)}, {**lab, "charttime": at(75), "storetime": at(75)}],
    )
    assert rows == [
        (100, "chart_220045", 26.0, "80", 80.0, 27.0, False),  # what names its stay is of that one alone
        (100, "lab_50912", 26.0, "1.1", 1.1, 27.0, False),
        (101, "lab_50912", 2.0, "1.1", 1.1, 3.0, False),
        (102, "lab_50912", 5.0, "1.1", 1.1, 5.0, False),  # the window goes by the hours of the setting, not by the end
    ]
    said = database.run("checks/warnings/ehr_stays__overlapping_or_negative.sql")
    assert said.select("stay_id", "problem").rows() == [(101, "overlapping"), (102, "negative")]
