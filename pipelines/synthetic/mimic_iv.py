"""Renders hosp/ of MIMIC-IV: published headers, column order, types and quirks.

Source of the layout: MIMIC-IV 2.2 as published, and mimic-code's create.sql. Not here: cultures (`microbiology`), the
ICU's event tables (`mimic_iv_icu`), how a patient fares (`latent`, `stays`), notes (`mimic_iv_note`).
"""

import numpy as np
import polars as pl

from pipelines.synthetic import conditions, measurements
from pipelines.synthetic.cohort import Cohort
from pipelines.synthetic.conditions import CONDITIONS
from pipelines.synthetic.latent import Admissions, Subjects, severity_at
from pipelines.synthetic.microbiology import COLUMNS as MICROBIOLOGY
from pipelines.synthetic.microbiology import microbiologyevents
from pipelines.synthetic.procedures import COLUMNS as PROCEDURES
from pipelines.synthetic.procedures import procedure_tables
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.readings import as_text, values_of
from pipelines.synthetic.stays import HOUR, Stays

COLUMNS = {
    "patients": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
    "admissions": "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admit_provider_id,"
    "admission_location,discharge_location,insurance,language,marital_status,race,edregtime,edouttime,"
    "hospital_expire_flag",
    "diagnoses_icd": "subject_id,hadm_id,seq_num,icd_code,icd_version",
    "d_icd_diagnoses": "icd_code,icd_version,long_title",
    "labevents": "labevent_id,subject_id,hadm_id,specimen_id,itemid,order_provider_id,charttime,storetime,value,"
    "valuenum,valueuom,ref_range_lower,ref_range_upper,flag,priority,comments",
    "d_labitems": "itemid,label,fluid,category",
    "microbiologyevents": MICROBIOLOGY,
    **PROCEDURES,
    "prescriptions": "subject_id,hadm_id,pharmacy_id,poe_id,poe_seq,order_provider_id,starttime,stoptime,drug_type,"
    "drug,formulary_drug_cd,gsn,ndc,prod_strength,form_rx,dose_val_rx,dose_unit_rx,form_val_disp,form_unit_disp,"
    "doses_per_24_hrs,route",
}
LABS = (*measurements.LABS, *measurements.NEWER_LABS)
BASIC_PANEL = {50912, 51006, 50971, 50983, 50902, 50882, 50931, 51222, 51221, 51265, 51301}
DISCHARGE_LOCATIONS = ("HOME", "HOME HEALTH CARE", "SKILLED NURSING FACILITY", "REHAB")
RACES = ("WHITE", "BLACK/AFRICAN AMERICAN", "ASIAN", "HISPANIC OR LATINO", "UNKNOWN")
RACE_SHARES = (0.66, 0.14, 0.05, 0.07, 0.08)
PROVIDER_LETTERS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
# Share of the subjects who are coded in ICD-9 alone.
ICD9_SHARE = 0.45
Rows = list[dict[str, object]]


def hosp_tables(
    cohort: Cohort, *, last_seen: dict[int, np.datetime64], release: str = "2.2", seed: int
) -> tuple[dict[str, pl.DataFrame], Rows]:
    """Render hosp/ of a cohort's EHR subjects.

    Args:
        cohort: who they are.
        last_seen: row of `Subjects` -> time of the last X-ray, before which nobody may have died.
        release: 3.0 and 3.1 tell languages apart, insure privately and go on to 2022; 3.0 has items of its own.
        seed: the settings' seed.

    Returns:
        Name of the table -> rows in the published columns, and the planted cases, one row each: quirk, subject_id,
        hadm_id.
    """
    subjects, admissions, stays = cohort.subjects, cohort.admissions, cohort.stays
    with_ehr = np.flatnonzero(subjects.has_ehr[admissions.subject])
    quirks: Rows = []
    versions = {row: icd_version(subjects, admissions, row, seed=seed) for row in with_ehr.tolist()}
    tables = {
        "patients": _patients(subjects, admissions, last_seen, seed, quirks),
        "admissions": _admissions(subjects, admissions, with_ehr, seed),
        "diagnoses_icd": _diagnoses(subjects, admissions, stays, with_ehr, seed, quirks),
        "d_icd_diagnoses": _code_titles(),
        "labevents": _labs(subjects, admissions, stays, with_ehr, seed, quirks),
        "d_labitems": _lab_dictionary(),
        "prescriptions": _prescriptions(subjects, admissions, with_ehr, seed),
        "microbiologyevents": microbiologyevents(subjects, admissions, with_ehr, seed=seed),
        **procedure_tables(cohort, versions),
    }
    for name, rows in tables.items():
        assert rows.columns == COLUMNS[name].split(","), (name, rows.columns)
    if release != "2.2":
        tables["patients"] = tables["patients"].with_columns(_LATER_GROUP)
        tables["admissions"] = tables["admissions"].with_columns(*_LATER_WORDS)
    if release == "3.0":
        for name in ("labevents", "d_labitems"):
            tables[name] = tables[name].with_columns(pl.col("itemid").replace(measurements.ITEMS_OF_3_0))
    return tables, quirks


_LATER_GROUP = (
    pl.when(pl.col("subject_id") % 7 == 3)
    .then(pl.lit("2020 - 2022"))
    .otherwise("anchor_year_group")
    .alias("anchor_year_group")
)
_LATER_WORDS = (
    pl.col("language").replace({"ENGLISH": "English", "?": "Spanish"}),
    pl.when((pl.col("insurance") == "Other") & (pl.col("subject_id") % 2 == 0))
    .then(pl.lit("Private"))
    .otherwise("insurance")
    .alias("insurance"),
)


def icd_version(subjects: Subjects, admissions: Admissions, row: int, *, seed: int) -> int:
    """Coding system of an admission: 9 or 10, and 9 then 10 for some subjects."""
    subject = int(admissions.subject[row])
    draw = generator(seed, "icd version", int(subjects.subject_id[subject])).random()
    first = np.searchsorted(admissions.subject, subject)
    return 9 if draw < ICD9_SHARE or (draw < 0.6 and row == first) else 10


def _patients(
    subjects: Subjects, admissions: Admissions, last_seen: dict[int, np.datetime64], seed: int, quirks: Rows
) -> pl.DataFrame:
    rows = []
    for subject in np.flatnonzero(subjects.has_ehr).tolist():
        subject_id = int(subjects.subject_id[subject])
        random = generator(seed, "patients", subject_id)
        last = int(np.searchsorted(admissions.subject, subject, "right")) - 1
        left = admissions.discharge[last].astype("datetime64[D]")
        dod = left if admissions.died[last] else None
        draw = random.random()
        if dod is None and draw < 0.12:  # after discharge: within a month for half of them
            days = int(random.integers(1, 30)) if draw < 0.06 else int(random.integers(31, 360))
            seen = last_seen.get(subject, admissions.discharge[last]).astype("datetime64[D]")
            dod = max(left, seen) + np.timedelta64(days, "D")
            quirks.append(
                {"quirk": "death_after_discharge", "subject_id": subject_id, "hadm_id": int(admissions.hadm_id[last])}
            )
        group = ("2008 - 2010", "2011 - 2013", "2014 - 2016", "2017 - 2019")[int(random.integers(4))]
        gender = "F" if subjects.female[subject] else "M"
        age, year = int(subjects.age[subject]), int(subjects.anchor_year[subject])
        rows.append((subject_id, gender, age, year, group, None if dod is None else str(dod)))
    return pl.DataFrame(rows, schema=COLUMNS["patients"].split(","), orient="row")


def _admissions(subjects: Subjects, admissions: Admissions, with_ehr: np.ndarray, seed: int) -> pl.DataFrame:
    rows = []
    for row in with_ehr.tolist():
        random = generator(seed, "admissions table", int(admissions.hadm_id[row]))
        subject = int(admissions.subject[row])
        person = generator(seed, "person", int(subjects.subject_id[subject]))
        age, admit, discharge = int(subjects.age[subject]), admissions.admit[row], admissions.discharge[row]
        died = bool(admissions.died[row])
        emergency = random.random() < 0.6
        registered = admit - np.timedelta64(int(random.integers(2, 9) * 3600), "s") if emergency else None
        rows.append(
            (
                int(subjects.subject_id[subject]),
                int(admissions.hadm_id[row]),
                _time(admit),
                _time(discharge),
                _time(discharge) if died else None,
                "EW EMER." if emergency else str(random.choice(["URGENT", "OBSERVATION ADMIT", "ELECTIVE"])),
                _provider(random),
                "EMERGENCY ROOM" if emergency else str(random.choice(["PHYSICIAN REFERRAL", "TRANSFER FROM HOSPITAL"])),
                "DIED" if died else str(random.choice(DISCHARGE_LOCATIONS)),
                "Medicare" if age >= 65 else str(person.choice(["Medicaid", "Other"])),
                "ENGLISH" if person.random() < 0.9 else "?",
                _marital_status(age, person),
                str(person.choice(RACES, p=RACE_SHARES)),
                _time(registered),
                _time(None if registered is None else admit + HOUR),
                int(died),
            )
        )  # fmt: skip
    return pl.DataFrame(rows, schema=COLUMNS["admissions"].split(","), orient="row", infer_schema_length=None)


def _diagnoses(
    subjects: Subjects, admissions: Admissions, stays: Stays, with_ehr: np.ndarray, seed: int, quirks: Rows
) -> pl.DataFrame:
    severity = severity_at(subjects, admissions, subject=admissions.subject, time=admissions.admit)
    ventilated = set(stays.admission[~np.isnan(stays.onset["invasive"])].tolist())
    uncoded = int(with_ehr[-1])
    quirks.append(_quirk("admission_without_codes", subjects, admissions, uncoded))
    rows: list[tuple[int, int, int, str, int]] = []
    for row in with_ehr[with_ehr != uncoded].tolist():
        random = generator(seed, "diagnoses", int(admissions.hadm_id[row]))
        version = icd_version(subjects, admissions, row, seed=seed)
        graded = [(s, name) for s, name in zip(severity[row], CONDITIONS, strict=True) if s > 0.1]
        codes = [
            code
            for much, name in sorted(graded, reverse=True)
            for code, threshold in reversed(conditions.CODES[name][version])
            if much >= threshold
        ]
        if row in ventilated:
            codes.insert(1, "51881" if version == 9 else "J9601")
        common = random.choice(conditions.COMMON_CODES[version], size=int(random.integers(1, 5)), replace=False)
        codes += common.tolist()
        blank = random.random() < 0.03
        subject_id, hadm_id = int(subjects.subject_id[admissions.subject[row]]), int(admissions.hadm_id[row])
        if blank:
            quirks.append(_quirk("codes_with_trailing_blanks", subjects, admissions, row))
        rows += [
            (subject_id, hadm_id, at + 1, code.ljust(7) if blank else code, version) for at, code in enumerate(codes)
        ]
    return pl.DataFrame(rows, schema=COLUMNS["diagnoses_icd"].split(","), orient="row")


def _code_titles() -> pl.DataFrame:
    rows = sorted((code, version, title) for (code, version), title in conditions.CODE_TITLES.items())
    return pl.DataFrame(rows, schema=COLUMNS["d_icd_diagnoses"].split(","), orient="row")


def _lab_dictionary() -> pl.DataFrame:
    labels = [(item.itemid, item.label, "Blood", item.category) for item in LABS]
    return pl.DataFrame(sorted(labels), schema=COLUMNS["d_labitems"].split(","), orient="row")


def _labs(
    subjects: Subjects, admissions: Admissions, stays: Stays, with_ehr: np.ndarray, seed: int, quirks: Rows
) -> pl.DataFrame:
    longest = int(np.argmax(stays.outtime - stays.intime))
    late = int(stays.admission[longest])
    quirks.append(_quirk("result_after_48h_of_a_specimen_before", subjects, admissions, late))
    injured = np.flatnonzero(~np.isnan(stays.injury))
    failing = stays.intime[injured] + stays.injury[injured].astype("timedelta64[s]")
    injuries = dict(zip(stays.admission[injured].tolist(), failing, strict=True))
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("row", "item", "time", "stored", "number", "panel")}
    for row in with_ehr.tolist():
        random = generator(seed, "labs", int(admissions.hadm_id[row]))
        time, stored = _panel_times(admissions, row, random)
        if row == late:
            time[1], stored[1] = stays.intime[longest] + 40 * HOUR, stays.intime[longest] + 60 * HOUR
        subject = int(admissions.subject[row])
        severity = severity_at(subjects, admissions, subject=np.full(len(time), subject), time=time)
        for at, item in enumerate(LABS):
            drawn = np.flatnonzero(random.random(len(time)) < (0.95 if item.itemid in BASIC_PANEL else 0.55))
            columns["row"].append(np.full(len(drawn), row))
            columns["item"].append(np.full(len(drawn), at))
            columns["time"].append(time[drawn])
            columns["stored"].append(stored[drawn])
            number = values_of(item, severity[drawn], subjects.signature[subject], random)
            if item.itemid in measurements.INJURED and row in injuries:
                risen = np.clip((time[drawn] - injuries[row]) / (12 * HOUR), 0, 1)
                number = np.round(number * (1 + measurements.INJURED[item.itemid] * risen), item.decimals)
            columns["number"].append(number)
            columns["panel"].append(drawn)
    return _lab_table({name: np.concatenate(parts) for name, parts in columns.items()}, subjects, admissions)


def _panel_times(admissions: Admissions, row: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """When an admission's panels are drawn (the first before it) and known; one in fifty is known a day late."""
    length = (admissions.discharge[row] - admissions.admit[row]) / HOUR
    hours = np.concatenate([[-1.5], np.arange(4, min(length, 96), 12), np.arange(100, min(length, 260), 24)])
    minutes = np.rint((hours + random.uniform(-1, 1, len(hours))) * 60).astype("timedelta64[m]")
    time = (admissions.admit[row] + minutes).astype("datetime64[m]").astype("datetime64[s]")
    stored = time + random.integers(30, 120, len(time)).astype("timedelta64[m]")
    return time, np.where(random.random(len(time)) < 0.02, stored + 26 * HOUR, stored)


def _lab_table(columns: dict[str, np.ndarray], subjects: Subjects, admissions: Admissions) -> pl.DataFrame:
    """Labevents from one row per result: row of the admission, position of the item, times, number, panel."""
    items = pl.DataFrame(
        [(at, i.itemid, i.unit, *(i.normal or (None, None)), i.decimals) for at, i in enumerate(LABS)],
        schema=["item", "itemid", "valueuom", "low", "high", "decimals"],
        orient="row",
    )
    row, number = columns["row"], pl.col("number")
    labs = pl.DataFrame(
        {
            "subject_id": subjects.subject_id[admissions.subject[row]],
            "hadm_id": admissions.hadm_id[row],
            "charttime": columns["time"].astype("datetime64[ms]"),
            "storetime": columns["stored"].astype("datetime64[ms]"),
            "early": columns["time"] < admissions.admit[row],
            **{name: columns[name] for name in ("item", "number", "panel")},
        }
    ).join(items, on="item")
    labs = labs.sort("subject_id", "charttime", "itemid")
    masked = (pl.col("itemid") == 50931) & (pl.int_range(pl.len()) % 23 == 0)
    return labs.select(
        labevent_id=pl.int_range(1, pl.len() + 1),
        subject_id="subject_id",
        hadm_id=pl.when(~(pl.col("early") & (pl.col("hadm_id") % 4 == 0))).then("hadm_id"),
        specimen_id=pl.struct("hadm_id", "panel").rank("dense").cast(pl.Int64) + 1_000_000,
        itemid="itemid",
        order_provider_id=pl.lit(None),
        charttime="charttime",
        storetime="storetime",
        value=pl.when(masked)
        .then(pl.lit("___"))
        .otherwise(pl.when(pl.col("decimals") > 0).then(number.cast(pl.String)).otherwise(as_text(number))),
        valuenum=as_text(number),
        valueuom="valueuom",
        ref_range_lower=as_text(pl.col("low")),
        ref_range_upper=as_text(pl.col("high")),
        flag=pl.when((number < pl.col("low")) | (number > pl.col("high"))).then(pl.lit("abnormal")),
        priority=pl.when(pl.col("panel") % 3 == 0).then(pl.lit("ROUTINE")).otherwise(pl.lit("STAT")),
        comments=pl.when(masked).then(pl.lit("IF FASTING, 70-100 NORMAL, >125 PROVISIONAL DIABETES.")),
    )


def _prescriptions(subjects: Subjects, admissions: Admissions, with_ehr: np.ndarray, seed: int) -> pl.DataFrame:
    severity = severity_at(subjects, admissions, subject=admissions.subject, time=admissions.admit)
    rows: list[tuple[object, ...]] = []
    for row in with_ehr.tolist():
        random = generator(seed, "prescriptions", int(admissions.hadm_id[row]))
        given = [
            (drug, strength, route)
            for name, much in zip(CONDITIONS, severity[row], strict=True)
            for drug, strength, route, threshold in conditions.DRUGS[name]
            if much >= threshold and random.random() < 0.9
        ]
        if random.random() < 0.93:  # the others have no prescription at all if nothing was wrong enough
            chosen = random.choice(len(conditions.COMMON_DRUGS), size=int(random.integers(2, 5)), replace=False)
            given += [conditions.COMMON_DRUGS[at] for at in chosen]
        subject_id, hadm_id = int(subjects.subject_id[admissions.subject[row]]), int(admissions.hadm_id[row])
        for number, (drug, strength, route) in enumerate(given):
            kind = "MAIN" if random.random() < 0.93 else "BASE"
            name = drug if kind == "MAIN" else str(random.choice(["0.9% Sodium Chloride", "5% Dextrose", ""]))
            start = admissions.admit[row] + np.timedelta64(int(random.integers(0, 48)), "h")
            stop = start + np.timedelta64(int(random.integers(12, 96)), "h")
            poe = int(random.integers(20, 900))
            rows.append(
                (
                    subject_id, hadm_id, int(random.integers(10_000_000, 99_999_999)), f"{subject_id}-{poe}", poe,
                    _provider(random), _hour(start), _hour(stop), kind, name, name[:4].upper() + str(number),
                    f"{int(random.integers(1000, 70000)):06d}", f"{int(random.integers(10**9, 10**10)):011d}",
                    strength, None, strength.split("mg")[0].strip() if "mg" in strength else "1",
                    "mg" if "mg" in strength else "UNIT", "1", "TAB", int(random.integers(1, 5)), route,
                )
            )  # fmt: skip
    schema = COLUMNS["prescriptions"].split(",")
    return pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None)


def _quirk(name: str, subjects: Subjects, admissions: Admissions, row: int) -> dict[str, object]:
    subject_id = int(subjects.subject_id[admissions.subject[row]])
    return {"quirk": name, "subject_id": subject_id, "hadm_id": int(admissions.hadm_id[row])}


def _marital_status(age: int, person: np.random.Generator) -> str | None:
    if person.random() < 0.06:
        return None
    if age >= 75:
        return str(person.choice(["WIDOWED", "MARRIED"]))
    return str(person.choice(["SINGLE", "DIVORCED"] if age < 40 else ["MARRIED", "SINGLE", "DIVORCED"]))


def _provider(random: np.random.Generator) -> str:
    return "P" + "".join(PROVIDER_LETTERS[at] for at in random.integers(0, len(PROVIDER_LETTERS), size=5).tolist())


def _time(time: np.datetime64 | None) -> str | None:
    return None if time is None else str(time.astype("datetime64[s]")).replace("T", " ")


def _hour(time: np.datetime64) -> str:
    return str(time.astype("datetime64[h]").astype("datetime64[s]")).replace("T", " ")
