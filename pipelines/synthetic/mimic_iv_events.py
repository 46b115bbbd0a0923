"""Renders the ICU's event tables of MIMIC-IV beside chartevents: infusions, procedures, outputs, dates.

What begins when is drawn with the stay (`stays`, `critical`); what runs, flows and is done follows from it and from
the severities. Rows that were rewritten are there too, with times and amounts that never were.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from pipelines.synthetic.cohort import Cohort
from pipelines.synthetic.conditions import CONDITIONS
from pipelines.synthetic.latent import severity_at
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.stays import HOUR

COLUMNS = {
    "procedureevents": "subject_id,hadm_id,stay_id,caregiver_id,starttime,endtime,storetime,itemid,value,valueuom,"
    "location,locationcategory,orderid,linkorderid,ordercategoryname,ordercategorydescription,patientweight,isopenbag,"
    "continueinnextdept,statusdescription,ORIGINALAMOUNT,ORIGINALRATE",
    "inputevents": "subject_id,hadm_id,stay_id,caregiver_id,starttime,endtime,storetime,itemid,amount,amountuom,rate,"
    "rateuom,orderid,linkorderid,ordercategoryname,secondaryordercategoryname,ordercomponenttypedescription,"
    "ordercategorydescription,patientweight,totalamount,totalamountuom,isopenbag,continueinnextdept,statusdescription,"
    "originalamount,originalrate",
    "outputevents": "subject_id,hadm_id,stay_id,caregiver_id,charttime,storetime,itemid,value,valueuom",
    "datetimeevents": "subject_id,hadm_id,stay_id,caregiver_id,charttime,storetime,itemid,value,valueuom,warning",
}
# Items of these tables that `measurements.OTHER_ITEMS` does not have: itemid, label, abbreviation, table, category, ...
EVENT_ITEMS = (
    (220949, "Dextrose 5%", "Dextrose 5%", "inputevents", "Fluids/Intake", "mL", "Solution"),
    (222168, "Propofol", "Propofol", "inputevents", "Medications", "mg", "Solution"),
    (225158, "NaCl 0.9%", "NaCl 0.9%", "inputevents", "Fluids/Intake", "mL", "Solution"),
    (225798, "Vancomycin", "Vancomycin", "inputevents", "Antibiotics", "dose", "Solution"),
    (226559, "Foley", "Foley", "outputevents", "Output", "mL", "Numeric"),
    (226560, "Void", "Void", "outputevents", "Output", "mL", "Numeric"),
    (224275, "20 Gauge", "20 Gauge", "procedureevents", "Access Lines - Peripheral", "None", "Processes"),
    (224385, "Intubation", "Intubation", "procedureevents", "1-Intubation/Extubation", "None", "Processes"),
    (225401, "Blood Cultured", "Blood Cultured", "procedureevents", "6-Cultures", "None", "Processes"),
    (225402, "EKG", "EKG", "procedureevents", "4-Procedures", "None", "Processes"),
    (225459, "Chest X-Ray", "Chest X-Ray", "procedureevents", "5-Imaging", "None", "Processes"),
    (225752, "Arterial Line", "Arterial Line", "procedureevents", "Access Lines - Invasive", "None", "Processes"),
    (
        224288,
        "Arterial line Insertion Date",
        "Arterial line Insertion Date",
        "datetimeevents",
        "Access Lines - Invasive",
        None,
        "Date and time",
    ),
    (
        225754,
        "20 Gauge Insertion Date",
        "20 Gauge Insertion Date",
        "datetimeevents",
        "Access Lines - Peripheral",
        None,
        "Date and time",
    ),
)
FINISHED, REWRITTEN = "FinishedRunning", "Rewritten"
VASOPRESSIN = 222315
# item -> amount's unit, rate's unit, order category, kind of order
ORDERS = {
    225158: ("mL", "mL/hour", "02-Fluids (Crystalloids)", "Continuous IV"),
    220949: ("mL", None, "08-Antibiotics (IV)", "Drug Push"),
    222168: ("mg", "mcg/kg/min", "01-Drips", "Continuous Med"),
    225798: ("dose", None, "08-Antibiotics (IV)", "Drug Push"),
    VASOPRESSIN: ("units", "units/hour", "01-Drips", "Continuous Med"),
}
# How much more of a pressor runs than of norepinephrine, in its own unit of rate.
USUAL_RATE = {VASOPRESSIN: 8, 221662: 40, 221749: 8}
PRESSOR_ORDER = ("mg", "mcg/kg/min", "01-Drips", "Continuous Med")
ONE_MOMENT = np.timedelta64(60, "s")
TIME, NUMBER, TEXT = pl.Datetime("ms"), pl.Int64(), pl.String()
Schema = dict[str, pl.DataType]
Row = tuple[object, ...]


def event_tables(ids: pl.DataFrame, cohort: Cohort, *, seed: int) -> dict[str, pl.DataFrame]:
    """Render the four tables.

    Args:
        ids: one row per stay, in the cohort's order: subject_id, hadm_id, stay_id, intime, outtime.
        cohort: whose stays they are.
        seed: the settings' seed.

    Returns:
        Name of the table -> rows in the published columns.
    """
    stays, admissions = cohort.stays, cohort.admissions
    severity = severity_at(cohort.subjects, admissions, subject=admissions.subject[stays.admission], time=stays.intime)
    inputs, procedures, outputs, dates = [], [], [], []
    for row, stay_id in enumerate(stays.stay_id.tolist()):
        if stays.silent[row]:
            continue
        random = generator(seed, "events", stay_id)
        inputs += _inputs(random, cohort, row, severity[row])
        procedures += _procedures(random, cohort, row)
        outputs += _outputs(random, cohort, row, severity[row])
        dates += _dates(random, cohort, row)
    caregiver = generator(seed, "caregivers of events").integers(1000, 99_999, len(ids))
    who = ids.select("subject_id", "hadm_id", "stay_id").with_columns(caregiver_id=pl.Series(caregiver))
    stay = who.with_row_index("row").cast({"row": pl.Int64})
    return {
        "inputevents": _input_table(stay, inputs),
        "procedureevents": _procedure_table(stay, procedures),
        "outputevents": _output_table(stay, outputs),
        "datetimeevents": _date_table(stay, dates),
    }


def _inputs(random: np.random.Generator, cohort: Cohort, row: int, severity: np.ndarray) -> list[Row]:
    """One stay's infusions: row, item, start, end, stored, amount, rate, status."""
    stays = cohort.stays
    intime, outtime = stays.intime[row], stays.outtime[row]
    sepsis = float(severity[CONDITIONS.index("sepsis")])
    rows: list[Row] = []

    def run(item: int, start: np.datetime64, hours: float, rate: float | None, amount: float, status: str) -> None:
        end = start + (ONE_MOMENT if rate is None else np.timedelta64(int(hours * 3600), "s"))
        stored = start + np.timedelta64(60 * int(random.integers(1, 40)), "s")
        rows.append((row, item, start.item(), end.item(), stored.item(), round(amount, 4), rate, status))

    if not np.isnan(onset := stays.onset["pressor"][row]):
        start, item = intime + np.timedelta64(int(onset), "s"), int(stays.onset_item[row])
        if stays.stay_id[row] % 7 == 2:  # an order with a wrong start, replaced by the one that ran
            run(item, start - np.timedelta64(5400, "s"), 5, 0.2, 9.0, REWRITTEN)
        for turn in range(3):
            rate = round(float(random.uniform(0.04, 0.3)) * USUAL_RATE.get(item, 1), 3)
            amount = rate * 5 if item == VASOPRESSIN else rate * 80 * 60 * 5 / 1000
            run(item, start + turn * 5 * HOUR, 5, rate, amount, FINISHED)
    if not np.isnan(onset := stays.onset["invasive"][row]):
        start = intime + np.timedelta64(int(onset), "s")
        for turn in range(2):
            rate = round(float(random.uniform(20, 50)), 2)
            run(222168, start + turn * 6 * HOUR + HOUR // 2, 6, rate, rate * 80 * 60 * 6 / 1000, FINISHED)
    for hours in np.arange(1.0, min((outtime - intime) / HOUR - 4, 72), 12):
        rate = round(50 + 60 * sepsis + float(random.normal(0, 12)), 1)
        start = (intime + np.timedelta64(int((hours + random.uniform(0, 3)) * 60), "m")).astype("datetime64[m]")
        run(225158, start.astype("datetime64[s]"), 4, max(rate, 10.0), 4 * max(rate, 10.0), FINISHED)
        if random.random() < 0.1 + 0.6 * sepsis:
            run(225798, start.astype("datetime64[s]") + HOUR, 0, None, 1, FINISHED)
            run(220949, start.astype("datetime64[s]") + HOUR, 0, None, 200, FINISHED)
    return rows


def _procedures(random: np.random.Generator, cohort: Cohort, row: int) -> list[Row]:
    """One stay's procedures: row, item, start, end, stored, value, unit, category, kind, status."""
    stays = cohort.stays
    intime, outtime = stays.intime[row], stays.outtime[row]
    rows: list[Row] = []

    def long(item: int, start: np.datetime64, end: np.datetime64, category: str, status: str = FINISHED) -> None:
        minutes = int((end - start).astype(int) // 60)
        stored = end + 7 * ONE_MOMENT
        rows.append(
            (row, item, start.item(), end.item(), stored.item(), minutes, "min", category, "ContinuousProcess", status)
        )

    def task(item: int, start: np.datetime64, category: str) -> None:
        end, stored = start + ONE_MOMENT, start + np.timedelta64(60 * int(random.integers(0, 30)), "s")
        rows.append((row, item, start.item(), end.item(), stored.item(), 1, "None", category, "Task", FINISHED))

    for item, name in ((225792, "invasive"), (225794, "noninvasive")):
        if not np.isnan(onset := stays.onset[name][row]):
            start = intime + np.timedelta64(int(onset), "s")
            end = min(start + 60 * HOUR, max(outtime, start + HOUR))
            if stays.stay_id[row] % 11 == 4:
                long(item, start - 2 * HOUR, end, "Ventilation", REWRITTEN)
            long(item, start, end, "Ventilation")
            if name == "invasive":
                task(224385, start, "Intubation/Extubation")
    begin = (intime + np.timedelta64(int(random.integers(5, 90)), "m")).astype("datetime64[m]").astype("datetime64[s]")
    long(224275, begin, max(outtime - HOUR, begin + HOUR), "Peripheral Lines")
    if not np.isnan(stays.onset["pressor"][row]):
        start = intime + np.timedelta64(max(int(stays.onset["pressor"][row]), 0) + 1800, "s")
        long(225752, start, max(outtime - HOUR, start + HOUR), "Invasive Lines")
    for item, category, chance in ((225459, "Imaging", 0.6), (225402, "Procedures", 0.5), (225401, "Procedures", 0.4)):
        if random.random() < chance:
            task(item, begin + random.integers(1, 20) * HOUR, category)
    return rows


def _outputs(random: np.random.Generator, cohort: Cohort, row: int, severity: np.ndarray) -> list[Row]:
    """One stay's urine every two hours for two days, then every six: row, item, charted, stored, millilitres."""
    stays = cohort.stays
    hours = (stays.outtime[row] - stays.intime[row]) / HOUR
    turns = np.concatenate([np.arange(2.0, min(hours, 50), 2), np.arange(54, max(hours, 54), 6)])
    usual = 190 - 110 * severity[CONDITIONS.index("kidney_disease")] - 70 * severity[CONDITIONS.index("sepsis")]
    volume = np.maximum(5 * np.rint((usual + 45 * random.standard_normal(len(turns))) / 5), 0).astype(int)
    item = 226559 if random.random() < 0.8 else 226560
    first = stays.intime[row].astype("datetime64[h]").astype("datetime64[s]")
    charted = first + (turns * 3600).astype("timedelta64[s]")
    stored = charted + 60 * random.integers(1, 45, len(turns)).astype("timedelta64[s]")
    return [
        (row, item, time, known, value)
        for time, known, value in zip(charted.tolist(), stored.tolist(), volume.tolist(), strict=True)
    ]


def _dates(random: np.random.Generator, cohort: Cohort, row: int) -> list[Row]:
    """One stay's dates of lines, charted again with every shift: row, item, charted, stored, the date."""
    stays = cohort.stays
    inserted = stays.intime[row].astype("datetime64[D]") - int(random.integers(0, 4))
    hours = (stays.outtime[row] - stays.intime[row]) / HOUR
    rows: list[Row] = []
    for turn in np.arange(3.0, hours, 12.0).tolist():
        time = (stays.intime[row] + np.timedelta64(int(turn * 60), "m")).astype("datetime64[m]").astype("datetime64[s]")
        stored = time + 60 * np.timedelta64(int(random.integers(0, 30)), "s")
        rows.append((row, 225754, time.item(), stored.item(), inserted.astype("datetime64[s]").item()))
        if turn * 3600 > stays.onset["pressor"][row]:
            line = stays.intime[row] + np.timedelta64(int(stays.onset["pressor"][row]), "s")
            rows.append(
                (row, 224288, time.item(), stored.item(), line.astype("datetime64[D]").astype("datetime64[s]").item())
            )
    return rows


def _input_table(stay: pl.DataFrame, rows: Sequence[Row]) -> pl.DataFrame:
    items = [(item, *words) for item, words in ORDERS.items()]
    known = {item for item, *_ in items}
    items += [(item, *PRESSOR_ORDER) for item in (221289, 221662, 221749, 221906) if item not in known]
    orders = pl.DataFrame(items, schema=["itemid", "amountuom", "rateuom", "category", "kind"], orient="row")
    times = {"starttime": TIME, "endtime": TIME, "storetime": TIME}
    numbers = {"amount": pl.Float64(), "rate": pl.Float64(), "status": TEXT}
    schema: Schema = {"row": NUMBER, "itemid": NUMBER, **times, **numbers}
    events = pl.DataFrame(rows, schema=schema, orient="row").join(stay, on="row").join(orders, on="itemid")
    events = events.sort("subject_id", "starttime", "itemid", "endtime", "status")
    return (
        events.with_columns(
            orderid=pl.int_range(pl.len()) + 5_000_000,
            ordercategoryname="category",
            secondaryordercategoryname=pl.when(pl.col("kind") == "Continuous Med").then(
                pl.lit("02-Fluids (Crystalloids)")
            ),
            ordercomponenttypedescription=pl.lit("Main order parameter"),
            ordercategorydescription="kind",
            patientweight=pl.lit(80),
            totalamount=pl.when(pl.col("amountuom") == "mL").then(pl.lit(1000)),
            totalamountuom=pl.when(pl.col("amountuom") == "mL").then(pl.lit("ml")),
            isopenbag=pl.lit(0),
            continueinnextdept=pl.lit(0),
            statusdescription="status",
            originalamount="amount",
            originalrate=pl.col("rate").fill_null(0),
        )
        .with_columns(linkorderid="orderid")
        .select(COLUMNS["inputevents"].split(","))
    )


def _procedure_table(stay: pl.DataFrame, rows: Sequence[Row]) -> pl.DataFrame:
    times = {"starttime": TIME, "endtime": TIME, "storetime": TIME}
    words = {"valueuom": TEXT, "category": TEXT, "kind": TEXT, "status": TEXT}
    schema: Schema = {"row": NUMBER, "itemid": NUMBER, **times, "value": NUMBER, **words}
    events = pl.DataFrame(rows, schema=schema, orient="row").join(stay, on="row")
    events = events.sort("subject_id", "starttime", "itemid", "endtime", "status")
    return (
        events.with_columns(
            location=pl.when(pl.col("itemid") == 224275).then(pl.lit("R Antecube")),
            locationcategory=pl.when(pl.col("itemid") == 224275).then(pl.lit("Peripheral - old")),
            orderid=pl.int_range(pl.len()) + 1_000_000,
            ordercategoryname="category",
            ordercategorydescription="kind",
            patientweight=pl.lit(80),
            isopenbag=(pl.col("kind") == "ContinuousProcess").cast(pl.Int64),
            continueinnextdept=pl.lit(0),
            statusdescription="status",
            ORIGINALAMOUNT="value",
            ORIGINALRATE=(pl.col("kind") == "ContinuousProcess").cast(pl.Int64),
        )
        .with_columns(linkorderid="orderid")
        .select(COLUMNS["procedureevents"].split(","))
    )


def _output_table(stay: pl.DataFrame, rows: Sequence[Row]) -> pl.DataFrame:
    times = {"charttime": TIME, "storetime": TIME}
    schema: Schema = {"row": NUMBER, "itemid": NUMBER, **times, "value": NUMBER}
    events = pl.DataFrame(rows, schema=schema, orient="row").join(stay, on="row")
    events = events.sort("subject_id", "stay_id", "charttime", "itemid")
    return events.with_columns(valueuom=pl.lit("ml")).select(COLUMNS["outputevents"].split(","))


def _date_table(stay: pl.DataFrame, rows: Sequence[Row]) -> pl.DataFrame:
    times = {"charttime": TIME, "storetime": TIME, "value": TIME}
    schema: Schema = {"row": NUMBER, "itemid": NUMBER, **times}
    events = pl.DataFrame(rows, schema=schema, orient="row").join(stay, on="row")
    events = events.sort("subject_id", "stay_id", "charttime", "itemid")
    return events.with_columns(valueuom=pl.lit("Date"), warning=pl.lit(0)).select(COLUMNS["datetimeevents"].split(","))
