"""Label rules at their boundaries: hand-built stays of MIMIC-III and MIMIC-IV, one subject each, with known answers."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.features.label_items import read_label_items
from pipelines.features.tasks import task_table

BEGIN = datetime(2150, 1, 10)
T = 48.0
SECOND = 1 / 3600
BASE = ("ehr_admissions", "ehr_records", "ehr_stays", "cohort_split")
LABELS = ("labels_arf", "labels_shock", "labels_mortality", "labels_aki", "labels_readmission")
FOLDERS = {"cohort_split": "links", "ehr_admissions": "records", "ehr_records": "records", "ehr_stays": "records"}
EVENT_TABLES = {
    "chartevents": ("charttime", "__chartevents"),
    "procedureevents": ("starttime", "__procedureevents"),
    "inputevents": ("starttime", "__inputevents"),
    "inputevents_cv": ("charttime", "__inputevents_cv"),
}


def at(hours: float) -> str:
    """A time so many hours after the stays' beginning, to the second."""
    return str(BEGIN + timedelta(seconds=round(hours * 3600)))


class Hospital:
    """Rows of the raw tables, collected stay by stay."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self.names: dict[int, str] = {}

    def add(self, table: str, **row: Any) -> None:
        self.tables.setdefault(table, []).append(row)

    def patient(self, subject: int, *, database: str = "mimic_iii", age: float = 60, dod: str | None = None) -> None:
        """Add a patient; half a year more than a whole number: the birthday is the day after the admission."""
        if database == "mimic_iv":
            self.add("mimic_iv__patients", subject_id=subject, gender="F", anchor_age=int(age), anchor_year=2150,
                     dod=None if dod is None else datetime.fromisoformat(dod).date())  # fmt: skip
            return
        dob = f"{BEGIN.year - int(age)}-01-{9 if age == int(age) else 10:02d} 00:00:00"
        self.add(f"{database}__patients", subject_id=subject, gender="F", dob=dob, dod=dod)

    def admission(self, subject: int, hadm: int, *, database: str = "mimic_iii", admit: float = -5,
                  discharge: float = 400, died: float | None = None) -> None:  # fmt: skip
        self.add(f"{database}__admissions", subject_id=subject, hadm_id=hadm, admittime=at(admit),
                 dischtime=at(discharge), deathtime=None if died is None else at(died),
                 hospital_expire_flag=int(died is not None))  # fmt: skip

    def icu(self, name: str, subject: int, hadm: int, *, system: str = "metavision", database: str = "mimic_iii",
            begins: float = 0, ends: float | None = 100) -> int:  # fmt: skip
        stay = (30_000_000 if database == "mimic_iv" else 200_000) + len(self.names)
        own = {"stay_id": stay} if database == "mimic_iv" else {"icustay_id": stay, "dbsource": system}
        self.add(f"{database}__icustays", subject_id=subject, hadm_id=hadm, intime=at(begins),
                 outtime=None if ends is None else at(ends), **own)  # fmt: skip
        self.names[stay] = name
        return stay

    def stay(self, name: str, *, system: str = "metavision", database: str = "mimic_iii", age: float = 60,
             died: float | None = None, discharge: float = 400, dod: str | None = None, begins: float = 0,
             ends: float | None = 100) -> dict[str, Any]:  # fmt: skip
        """Add a subject with one admission and one stay; returns the ids that its events carry."""
        number = len(self.names) + 1
        first = 10_000_000 if database == "mimic_iv" else 0
        subject, hadm = first + number, 2 * first + 100_000 + number
        self.patient(subject, database=database, age=age, dod=dod)
        self.admission(subject, hadm, database=database, discharge=discharge, died=died)
        stay = self.icu(name, subject, hadm, system=system, database=database, begins=begins, ends=ends)
        return {"subject_id": subject, "hadm_id": hadm, "stay_id": stay}

    def event(self, ids: dict[str, Any], table: str, item: int, hours: float, *, database: str = "mimic_iii",
              **values: Any) -> None:  # fmt: skip
        """Add an event of a stay so many hours after its beginning; ids may leave stay or admission out."""
        time, name = EVENT_TABLES[table]
        is_iv = ids["subject_id"] >= 10_000_000
        row = {name: value for name, value in ids.items() if name != "stay_id"}
        row["stay_id" if is_iv else "icustay_id"] = ids.get("stay_id")
        database = "mimic_iv" if is_iv else database
        ending = "" if is_iv or table.startswith(("chart", "inputevents_")) else "_mv"
        extra = {"endtime": at(hours + 1)} if time == "starttime" else {}
        self.add(f"{database}{name}{ending}", itemid=item, **{time: at(hours)}, **extra, **row, **values)

    def creatinine(self, ids: dict[str, Any], readings: Iterable[tuple[float, float]]) -> None:
        database = "mimic_iv" if ids["subject_id"] >= 10_000_000 else "mimic_iii"
        for hours, number in readings:
            key = {"labevent_id": len(self.tables.get("mimic_iv__labevents", [])) + 1} if database == "mimic_iv" else {}
            self.add(f"{database}__labevents", subject_id=ids["subject_id"], itemid=50912, charttime=at(hours),
                     valuenum=number, **key)  # fmt: skip


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


@pytest.fixture
def build(database, hospital):
    """Builds the tables up to the named ones; returns frames whose stays have their names."""

    def _build(*tables: str, holdout: float = 1.0) -> list[pl.DataFrame]:
        database.set(ehr_holdout_share=holdout)
        database.fill({**hospital.tables, "label_items": read_label_items(), "prediction_tasks": task_table()})
        names = pl.DataFrame({"stay_id": list(hospital.names), "name": list(hospital.names.values())})
        built = {}
        for table in (*BASE, "prediction_stays", "label_events", *tables):
            built[table] = database.build(table, f"{FOLDERS.get(table, 'labels')}/{table}.sql")
        named = {
            name: rows.join(names, on="stay_id", how="left")
            for name, rows in built.items()
            if "stay_id" in rows.columns
        }
        return [named.get(table, built[table]) for table in tables]

    return _build


def outcomes(labels: pl.DataFrame) -> dict[str, float | str | None]:
    """Name of the stay -> what excluded it, else hours from the beginning to the event, else None."""
    hours = (pl.col("event_time") - pl.lit(BEGIN)).dt.total_microseconds() / 3.6e9
    rows = labels.select("name", pl.col("excluded_by").cast(pl.String), hours.round(6).alias("hours")).iter_rows()
    return {name: excluded_by or hours for name, excluded_by, hours in rows}


VENTILATED = [
    ("carevue", "chartevents", 506, {"value": "5", "valuenum": 5.0}),
    ("carevue", "chartevents", 505, {"value": "8", "valuenum": 8.0}),
    ("carevue", "chartevents", 720, {"value": " CPAP+PS "}),
    ("carevue", "chartevents", 467, {"value": "Ventilator"}),
    ("carevue", "chartevents", 467, {"value": "Bipap Mask  "}),
    ("carevue", "chartevents", 467, {"value": "CPAP Mask"}),
    ("carevue", "chartevents", 64, {"valuenum": 5.0}),
    ("carevue", "chartevents", 66, {"value": "12"}),
    ("carevue", "chartevents", 68, {"value": "BIPAP"}),
    ("metavision", "chartevents", 220339, {"valuenum": 0.0}),
    ("metavision", "procedureevents", 225792, {"statusdescription": "FinishedRunning"}),
    ("metavision", "procedureevents", 225794, {"statusdescription": None}),
    ("mimic_iv", "chartevents", 220339, {"valuenum": 5.0}),
    ("mimic_iv", "procedureevents", 225792, {"statusdescription": "Stopped"}),
    ("mimic_iv", "procedureevents", 225794, {"statusdescription": "Paused"}),
]
NOT_VENTILATED = [
    ("carevue", "chartevents", 506, {"value": None}),
    ("carevue", "chartevents", 506, {"valuenum": 5.0, "error": 1}),
    ("carevue", "chartevents", 720, {"value": "Other/Remarks "}),
    ("carevue", "chartevents", 720, {"value": ""}),
    ("carevue", "chartevents", 467, {"value": "Nasal Cannula"}),
    ("carevue", "chartevents", 60, {"valuenum": 5.0}),
    ("carevue", "chartevents", 437, {"valuenum": 5.0}),
    ("carevue", "chartevents", 686, {"valuenum": 5.0}),
    ("metavision", "chartevents", 224700, {"valuenum": 5.0}),
    ("metavision", "chartevents", 220339, {"valuenum": 5.0, "error": 1}),
    ("metavision", "procedureevents", 225792, {"statusdescription": "Rewritten"}),
    ("mimic_iv", "procedureevents", 225792, {"statusdescription": "Rewritten"}),
    ("mimic_iv", "procedureevents", 225441, {"statusdescription": "FinishedRunning"}),
]
PRESSED = [
    *[
        ("carevue", "inputevents_cv", item, {"rate": 0.1})
        for item in (30120, 30047, 30119, 30044, 30309, 30043, 30307, 30051, 30128, 30127)
    ],
    ("carevue", "inputevents_cv", 30120, {"amount": 2.0}),
    ("carevue", "inputevents_cv", 42273, {"amount": 0.04}),
    ("carevue", "inputevents_cv", 42802, {"rate": 2.4}),
    *[("metavision", "inputevents", item, {"rate": 0.1}) for item in (221906, 221289, 221662, 222315, 221749)],
    *[
        ("mimic_iv", "inputevents", item, {"amount": 0.1})
        for item in (221906, 221289, 229617, 221662, 222315, 221749, 229630, 229631, 229632)
    ],
]
NOT_PRESSED = [
    ("carevue", "inputevents_cv", 30120, {"rate": 0.0, "amount": 5.0}),
    ("carevue", "inputevents_cv", 30120, {}),
    ("carevue", "inputevents_cv", 30120, {"amount": 0.0}),
    ("carevue", "inputevents_cv", 42273, {"rate": 5.0, "amount": 0.0}),
    ("carevue", "inputevents_cv", 30042, {"rate": 5.0}),
    ("metavision", "inputevents", 221906, {"rate": 0.1, "statusdescription": "Rewritten"}),
    ("metavision", "inputevents", 221653, {"rate": 5.0}),
    ("metavision", "inputevents", 221986, {"rate": 5.0}),
    ("mimic_iv", "inputevents", 221906, {"rate": 0.1, "statusdescription": "Rewritten"}),
]


@pytest.mark.parametrize(
    ("table", "counts", "counts_not"),
    [("labels_arf", VENTILATED, NOT_VENTILATED), ("labels_shock", PRESSED, NOT_PRESSED)],
)
def test_what_is_an_onset_in_each_system_and_when(table, counts, counts_not, hospital, build) -> None:
    """Every rule twice: an onset exactly 48 h in, and one second earlier; what does not count is there all along."""
    expected: dict[str, float | str | None] = {}
    for number, (system, events, item, values) in enumerate([*counts, *counts_not]):
        database = "mimic_iv" if system == "mimic_iv" else "mimic_iii"
        does_count = number < len(counts)
        for when, hours in (("at", T), ("before", T - SECOND)):
            name = f"{number} {item} {values} {when}"
            ids = hospital.stay(name, system=system, database=database)
            hospital.event(ids, events, item, hours, **values)
            hospital.event(ids, events, item, hours + 3, **values)
            expected[name] = None if not does_count else hours if when == "at" else "onset_before_index"
    (labels,) = build(table)
    assert outcomes(labels) == expected


def test_what_is_in_error_or_rewritten_in_the_carevue_subset_is_no_onset(hospital, build) -> None:
    for name, table, item, values in (
        ("charted", "chartevents", 505, {"valuenum": 5.0}),
        ("in error", "chartevents", 505, {"valuenum": 5.0, "error": 1}),
        ("rewritten", "procedureevents", 225792, {"statusdescription": "Rewritten"}),
    ):
        ids = hospital.stay(name, system="carevue", database="mimic_iii_carevue")
        hospital.event(ids, table, item, 60, database="mimic_iii_carevue", **values)
    (labels,) = build("labels_arf")
    assert outcomes(labels) == {"charted": 60.0, "in error": None, "rewritten": None}


def test_every_listed_item_is_tested() -> None:
    onsets = read_label_items().filter(pl.col("label") != "aki")
    listed = set(onsets.select("system", "table_name", pl.col("code").cast(pl.Int64)).iter_rows())
    assert listed == {(system, table, item) for system, table, item, _ in [*VENTILATED, *PRESSED]}


def test_an_onset_before_the_unit_or_in_an_earlier_stay_excludes_and_one_of_another_admission_does_not(
    hospital, build
) -> None:
    def ventilated(ids, hours, **changes) -> None:
        hospital.event({**ids, **changes}, "chartevents", 220339, hours, valuenum=5.0)

    own = hospital.stay("own, before the unit")
    ventilated(own, -1.0)
    ward = hospital.stay("ward, before the unit")
    ventilated(ward, -1.0, stay_id=None)
    inside = hospital.stay("inside, without a stay")
    ventilated(inside, 60.0, stay_id=None)
    after = hospital.stay("after the unit, without a stay")
    ventilated(after, 101.0, stay_id=None)
    nameless = hospital.stay("without an admission")
    ventilated(nameless, 50.0, hadm_id=None)
    other = hospital.stay("another subject's")
    ventilated({**other, "subject_id": 77}, 10.0, hadm_id=None, stay_id=None)

    first = hospital.stay("first of two", ends=60)
    second = hospital.icu("second of two", first["subject_id"], first["hadm_id"], begins=80, ends=200)
    ventilated(first, 50.0)
    quiet = hospital.stay("quiet first", ends=60)
    late = hospital.icu("late second", quiet["subject_id"], quiet["hadm_id"], begins=80, ends=200)
    ventilated(quiet, 128.0, stay_id=late)
    back = hospital.stay("first admission", discharge=110)
    ventilated(back, 1.0)
    hospital.admission(back["subject_id"], 199_999, admit=120, discharge=400)
    hospital.icu("second admission", back["subject_id"], 199_999, begins=121, ends=300)

    (labels,) = build("labels_arf")
    assert labels.filter(name="second of two")["stay_id"].to_list() == [second]
    assert outcomes(labels) == {
        "own, before the unit": "onset_before_index",
        "ward, before the unit": "onset_earlier_in_admission",
        "inside, without a stay": 60.0,
        "after the unit, without a stay": None,
        "without an admission": 50.0,
        "another subject's": None,
        "first of two": 50.0,
        "second of two": "onset_earlier_in_admission",
        "quiet first": None,
        "late second": 128.0,
        "first admission": "onset_before_index",
        "second admission": None,
    }


def test_who_is_left_at_48_hours(hospital, build) -> None:
    hospital.stay("dead at T", died=T, discharge=T, ends=T)
    hospital.stay("dead a second before", died=T - SECOND, ends=60)
    hospital.stay("dead later", died=300)
    hospital.stay("gone at T", ends=T)
    hospital.stay("gone a second before", ends=T - SECOND)
    hospital.stay("never gone", ends=None)
    hospital.stay("eighteen", age=18)
    hospital.stay("eighteen tomorrow", age=18.5)
    hospital.stay("over 89", age=300)
    four = hospital.stay("first of four", ends=50)
    for number in range(1, 4):
        hospital.icu(f"stay {number} of four", four["subject_id"], four["hadm_id"], begins=60.0 * number,
                     ends=60.0 * number + 50)  # fmt: skip
    hospital.patient(9999)
    hospital.add("mimic_iii__admissions", subject_id=9999, hadm_id=199_000, admittime=at(-5), dischtime=at(90),
                 hospital_expire_flag=1)  # fmt: skip
    hospital.icu("dead, nobody knows when", 9999, 199_000, ends=80)
    stays, labels = build("prediction_stays", "labels_mortality")
    assert outcomes(labels) == {
        "dead at T": T,
        "dead a second before": "dead_before_index",
        "dead later": 300.0,
        "gone at T": None,
        "gone a second before": "left_before_index",
        "never gone": "left_before_index",
        "eighteen": None,
        "eighteen tomorrow": "under_18",
        "over 89": None,
        "first of four": None,
        "stay 1 of four": None,
        "stay 2 of four": None,
        "stay 3 of four": "beyond_max_stays",
        "dead, nobody knows when": 90.0,
    }
    assert stays.filter(name="stay 3 of four").select("stay_index", "is_kept").rows() == [(3, False)]


def test_cohorts(hospital, build, database) -> None:
    """Both trees of MIMIC-III are at hand, with a subject in both systems, a stay of both, and one of the subset."""
    hospital.stay("metavision")
    hospital.stay("both", system="both")
    hospital.stay("carevue")
    clean = hospital.stay("carevue and in the subset", system="carevue")
    mixed = hospital.stay("carevue of two systems", system="carevue", discharge=110)
    hospital.admission(mixed["subject_id"], 199_999, admit=500, discharge=700)
    hospital.icu("metavision of two systems", mixed["subject_id"], 199_999, begins=501, ends=600)
    hospital.stay("in the subset alone", system="carevue", database="mimic_iii_carevue")
    hospital.add("mimic_iii_carevue__patients", subject_id=clean["subject_id"], gender="F", dob="2090-01-09 00:00:00")
    held, trains = hospital.stay("iv", database="mimic_iv"), hospital.stay("iv too", database="mimic_iv")
    hospital.tables["mimic_iii__icustays"][2]["dbsource"] = "carevue"

    (stays,) = build("prediction_stays", holdout=0.5)
    found = dict(stays.select("name", "cohorts").iter_rows())
    split = dict(database.select("select subject_id, split from cohort_split").iter_rows())
    assert {split[ids["subject_id"]] for ids in (held, trains)} <= {"ehr_holdout", "pretrain"}
    for name, ids in (("iv", held), ("iv too", trains)):
        assert found.pop(name) == (["ehr_holdout"] if split[ids["subject_id"]] == "ehr_holdout" else [])
    assert found == {
        "metavision": ["metavision"],
        "both": [],
        "carevue": ["carevue_filtered"],
        "carevue and in the subset": ["carevue", "carevue_filtered"],
        "carevue of two systems": [],
        "metavision of two systems": ["metavision"],
        "in the subset alone": ["carevue"],
    }
    candidates = dict(stays.select("name", "candidate_of").iter_rows())
    assert candidates["both"] == []
    assert candidates["carevue of two systems"] == ["carevue", "carevue_filtered"]
    for check in ("cohort_rules", "nobody_of_pretraining"):
        assert database.run(f"checks/prediction_stays__{check}.sql").is_empty()


DISCHARGE = 200.0
MONTH = DISCHARGE + 30 * 24


def test_readmission(hospital, build, database) -> None:
    def leaves(name, **options) -> dict[str, Any]:
        return hospital.stay(name, discharge=DISCHARGE, **options)

    def comes_back(ids, hours, *, to_icu=True) -> None:
        database = "mimic_iv" if ids["subject_id"] >= 10_000_000 else "mimic_iii"
        hadm = ids["hadm_id"] + 50_000 + int(hours)
        hospital.admission(ids["subject_id"], hadm, database=database, admit=hours, discharge=hours + 20)
        if to_icu:
            hospital.icu(f"{hospital.names[ids['stay_id']]}, later", ids["subject_id"], hadm, database=database,
                         begins=hours + 1, ends=hours + 10)  # fmt: skip

    comes_back(leaves("after 30 days"), MONTH)
    comes_back(leaves("a second more"), MONTH + SECOND)
    comes_back(leaves("a second after it left"), DISCHARGE + SECOND)
    comes_back(leaves("transferred"), DISCHARGE)
    ward = leaves("ward first, iv", database="mimic_iv")
    comes_back(ward, DISCHARGE + 24, to_icu=False)
    comes_back(ward, DISCHARGE + 24 * 20)
    comes_back(leaves("ward alone, iv", database="mimic_iv"), DISCHARGE + 24, to_icu=False)
    comes_back(leaves("ward alone, iii"), DISCHARGE + 24, to_icu=False)
    leaves("dead in time", dod=at(DISCHARGE + 24 * 9)[:10] + " 00:00:00")
    leaves("dead in time, iv", database="mimic_iv", dod=at(DISCHARGE + 24 * 9)[:10])
    leaves("dead on the last day", dod=at(MONTH)[:10] + " 00:00:00")
    leaves("dead too late", dod=at(MONTH + 24)[:10] + " 00:00:00")
    leaves("dead on the day it left", dod=at(DISCHARGE)[:10] + " 00:00:00")
    leaves("died here", died=DISCHARGE)
    leaves("died here, without a flag", died=DISCHARGE)
    hospital.tables["mimic_iii__admissions"][-1]["hospital_expire_flag"] = None
    leaves("child", age=12)
    two = leaves("first of two")
    hospital.icu("second of two", two["subject_id"], two["hadm_id"], begins=110, ends=120)
    leaves("never 48 h there", ends=5)

    labels, examples = build(*LABELS, "prediction_split", "prediction_labels")[-3::2]
    assert {name: value for name, value in outcomes(labels).items() if not name.endswith(", later")} == {
        "after 30 days": MONTH,
        "a second more": round(MONTH + SECOND, 6),
        "a second after it left": round(DISCHARGE + SECOND, 6),
        "transferred": None,
        "ward first, iv": DISCHARGE + 24 * 20,
        "ward alone, iv": None,
        "ward alone, iii": None,
        "dead in time": None,
        "dead in time, iv": None,
        "dead on the last day": None,
        "dead too late": None,
        "dead on the day it left": None,
        "died here": "died_in_hospital",
        "died here, without a flag": "died_in_hospital",
        "child": "under_18",
        "first of two": "not_last_stay",
        "second of two": None,
        "never 48 h there": None,
    }
    counted = examples.filter(~pl.col("name").str.ends_with(", later"))
    of_icu = counted.filter(pl.col("task").cast(pl.String) == "readmission")
    assert set(of_icu.filter("label")["name"]) == {"after 30 days", "a second after it left", "ward first, iv"}
    died = {"dead in time", "dead in time, iv", "dead on the last day", "dead on the day it left"}
    assert set(of_icu.filter("is_competing")["name"]) == died
    of_any = counted.filter(pl.col("task").cast(pl.String) == "readmission_any")
    assert set(of_any["name"]) == {"ward first, iv", "ward alone, iv", "dead in time, iv"}
    first = datetime.fromisoformat(at(DISCHARGE + 24))
    assert of_any.filter("label").sort("name").select("name", "event_time").rows() == [
        ("ward alone, iv", first),
        ("ward first, iv", first),
    ]
    assert database.run("checks/prediction_labels__inside_cohort.sql").is_empty()


def test_horizons_end_with_their_last_moment(hospital, build) -> None:
    """Onset and death: at T, at T + 48 h, a second later; a death without onset competes in its horizon."""
    for name, hours in (("at T", T), ("at the end", 2 * T), ("too late", 2 * T + SECOND)):
        ids = hospital.stay(f"onset {name}", ends=200)
        hospital.event(ids, "chartevents", 220339, hours, valuenum=5.0)
        hospital.stay(f"death {name}", died=hours, ends=200)
    (examples,) = build(*LABELS, "prediction_split", "prediction_labels")[-1:]
    found = {
        (task, horizon): (set(rows.filter("label")["name"]), set(rows.filter("is_competing")["name"]))
        for (task, horizon), rows in examples.with_columns(pl.col("task", "horizon").cast(pl.String)).group_by(
            "task", "horizon"
        )
    }
    onsets, deaths = ({f"{what} {name}" for name in ("at T", "at the end")} for what in ("onset", "death"))
    late = {"onset too late"}, {"death too late"}
    assert found["arf", "48h"] == (onsets, deaths)
    assert found["arf", "unbounded"] == (onsets | late[0], deaths | late[1])
    assert found["mortality", "48h"] == (deaths, set())
    assert found["mortality", "unbounded"] == (deaths | late[1], set())
    assert found["shock", "unbounded"] == (set(), deaths | late[1])


KIDNEYS: dict[str, tuple[list[tuple[float, float]], float | str | None]] = {
    "0.3 more in 48 h": ([(10, 1.1), (58, 1.4)], 58),
    "0.29 more": ([(40, 1.1), (58, 1.39)], None),
    "0.3 more, a second too late": ([(10 - SECOND, 1.1), (58, 1.4)], None),
    "1.5 times in 7 days": ([(-100, 0.8), (40, 1.05), (68, 1.2)], 68),
    "1.5 times, a second too late": ([(-100, 0.8), (30, 1.1), (68 + SECOND, 1.2)], None),
    "the lowest, not the last, counts": ([(40, 0.5), (45, 0.7), (50, 0.8)], 50),
    "twice the least": ([(10, 0.2), (58, 0.4)], 58),
    "half more than very much": ([(10, 8.0), (58, 12.5)], 58),
    "exactly at 48 h": ([(10, 1.0), (T, 1.5)], T),
    "as it leaves": ([(10, 1.0), (100, 2.0)], 100),
    "a second before": ([(10, 1.0), (T - SECOND, 1.5), (60, 1.5)], "onset_before_index"),
    "in the emergency room": ([(-30, 1.0), (-6, 1.6), (20, 1.1), (60, 1.1)], "onset_earlier_in_admission"),
    "months ago": ([(-3000, 1.0), (-2990, 2.0), (20, 1.0), (60, 1.1)], None),
    "not measured before": ([(60, 1.0), (70, 2.0)], "no_creatinine_before_index"),
    "measured a week before": ([(T - 168, 1.0), (60, 1.0)], None),
    "measured earlier than that": ([(T - 168 - SECOND, 1.0), (60, 1.0)], "no_creatinine_before_index"),
    "not measured after": ([(10, 1.0), (101, 3.0)], "no_creatinine_after_index"),
    "no measurement": ([(10, 1.0), (60, 0.0), (70, 1.0)], None),
    "dialysis before": ([(10, 1.0), (60, 2.0)], "kidney_failure_known"),
    "dialysis later": ([(10, 1.0), (60, 2.0)], 60),
    "dialysis in another admission": ([(10, 1.0), (60, 2.0)], 60),
    "end stage": ([(10, 1.0), (60, 2.0)], "kidney_failure_known"),
    "chronic": ([(10, 1.0), (60, 2.0)], 60),
}


@pytest.mark.parametrize("system", ["carevue", "metavision", "mimic_iv"])
def test_kidney_injury_by_creatinine(system: str, hospital, build) -> None:
    database = "mimic_iv" if system == "mimic_iv" else "mimic_iii"
    for name, (readings, _) in KIDNEYS.items():
        ids = hospital.stay(name, system=system, database=database)
        hospital.creatinine(ids, readings)
        if name.startswith("dialysis"):
            hours = T if name == "dialysis later" else T - SECOND
            if name == "dialysis in another admission":
                ids = {"subject_id": ids["subject_id"], "hadm_id": ids["hadm_id"] + 50_000}
            if system == "carevue":
                hospital.event(ids, "chartevents", 582, hours, value="CVVHD Start ")
                hospital.event(ids, "chartevents", 582, 1, value="CVVHD D/C")
            else:
                hospital.event(ids, "procedureevents", 225802, hours)
        if name in ("end stage", "chronic"):
            code = "5856" if name == "end stage" else "5859"
            column = {"icd_code": code, "icd_version": 9} if database == "mimic_iv" else {"icd9_code": code}
            hospital.add(f"{database}__diagnoses_icd", subject_id=ids["subject_id"], hadm_id=ids["hadm_id"], seq_num=1,
                         **column)  # fmt: skip
    (labels,) = build("labels_aki")
    assert outcomes(labels) == {name: answer for name, (_, answer) in KIDNEYS.items()}
