"""Renders icu/ of MIMIC-IV: stays, charted readings and the item dictionary.

Not here: hosp/ (`mimic_iv`), the other event tables (`mimic_iv_events`), when anything begins (`stays`), large trees
for benchmarks (`chartevents_stream`).
"""

import numpy as np
import polars as pl

from pipelines.synthetic import measurements
from pipelines.synthetic.cohort import Cohort
from pipelines.synthetic.conditions import CONDITIONS, SIGNATURE
from pipelines.synthetic.latent import Admissions, Subjects, severity_at
from pipelines.synthetic.mimic_iv_events import COLUMNS as EVENT_COLUMNS
from pipelines.synthetic.mimic_iv_events import EVENT_ITEMS, event_tables
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.readings import as_text, values_of
from pipelines.synthetic.stays import HOUR, Stays

COLUMNS = {
    "icustays": "subject_id,hadm_id,stay_id,first_careunit,last_careunit,intime,outtime,los",
    "chartevents": "subject_id,hadm_id,stay_id,caregiver_id,charttime,storetime,itemid,value,valuenum,valueuom,warning",
    "d_items": "itemid,label,abbreviation,linksto,category,unitname,param_type,lownormalvalue,highnormalvalue",
    **EVENT_COLUMNS,
}
EYES = ("To Pain", "To Speech", "Spontaneously")
VERBAL = ("Incomprehensible sounds", "Confused", "Oriented")
MOTOR = ("Flex-withdraws", "Localizes Pain", "Obeys Commands")
FAHRENHEIT, CELSIUS, PEEP = 223761, 223762, 220339


def icu_tables(cohort: Cohort, *, release: str = "2.2", seed: int) -> dict[str, pl.DataFrame]:
    """Render icu/ of a cohort's EHR subjects: name of the table -> rows in the published columns."""
    subjects, admissions, stays = cohort.subjects, cohort.admissions, cohort.stays
    ids = pl.DataFrame(
        {
            "subject_id": subjects.subject_id[admissions.subject[stays.admission]],
            "hadm_id": admissions.hadm_id[stays.admission],
            "stay_id": stays.stay_id,
            "intime": stays.intime.astype("datetime64[ms]"),
            "outtime": stays.outtime.astype("datetime64[ms]"),
        }
    )
    tables = {
        "icustays": _icustays(ids, stays, seed),
        "chartevents": _chartevents(ids, subjects, admissions, stays, seed),
        "d_items": item_dictionary(),
        **event_tables(ids, cohort, seed=seed),
    }
    for name, rows in tables.items():
        assert rows.columns == COLUMNS[name].split(","), (name, rows.columns)
    if release != "2.2":
        tables["procedureevents"] = tables["procedureevents"].rename(str.lower)
    return tables


def item_dictionary() -> pl.DataFrame:
    """Every charted item the generator knows, as d_items."""
    plain = [
        (item.itemid, item.label, item.label, "chartevents", item.category, item.unit, "Numeric")
        for item in (*measurements.VITALS, *measurements.SLOW_VITALS)
    ]
    rows = [(*row, None, None) for row in sorted((*plain, *measurements.OTHER_ITEMS, *EVENT_ITEMS))]
    return pl.DataFrame(rows, schema=COLUMNS["d_items"].split(","), orient="row", infer_schema_length=None)


def _icustays(ids: pl.DataFrame, stays: Stays, seed: int) -> pl.DataFrame:
    random = generator(seed, "last careunit")
    last = [unit if random.random() < 0.9 else stays.unit[int(random.integers(len(stays.unit)))] for unit in stays.unit]
    return ids.with_columns(
        first_careunit=pl.Series(stays.unit),
        last_careunit=pl.Series(last),
        los=(pl.col("outtime") - pl.col("intime")).dt.total_seconds() / 86_400,
    ).select(COLUMNS["icustays"].split(","))


class _Chart:
    """Charted readings in the making: row of the stay, second after intime, item, number (or NaN), words (or None)."""

    def __init__(self) -> None:
        self.stay: list[np.ndarray] = []
        self.second: list[np.ndarray] = []
        self.itemid: list[np.ndarray] = []
        self.number: list[np.ndarray] = []
        self.words: list[str | None] = []

    def add(
        self, stay: int, itemid: int, second: np.ndarray, number: np.ndarray, words: list[str] | None = None
    ) -> None:
        """Add readings of one item of one stay."""
        self.stay.append(np.full(len(second), stay))
        self.itemid.append(np.full(len(second), itemid))
        self.second.append(second)
        self.number.append(number)
        self.words += words or [None] * len(second)

    def frame(self) -> pl.DataFrame:
        """One row per reading."""
        columns = {"stay": self.stay, "second": self.second, "itemid": self.itemid, "number": self.number}
        stacked = {name: np.concatenate(parts) for name, parts in columns.items()}
        return pl.DataFrame({**stacked, "words": pl.Series(self.words, dtype=pl.String)})


def _chartevents(
    ids: pl.DataFrame, subjects: Subjects, admissions: Admissions, stays: Stays, seed: int
) -> pl.DataFrame:
    chart = _Chart()
    for row in np.flatnonzero(~stays.silent).tolist():
        _chart_stay(chart, subjects, admissions, stays, row, generator(seed, "chartevents", int(stays.stay_id[row])))
    charted = chart.frame()
    random = generator(seed, "charting")
    caregiver = random.integers(1000, 99_999, len(ids))
    copies = charted.filter(pl.Series(random.random(len(charted)) < 0.003))  # rows that stand there twice, in full
    second, number = pl.col("second"), pl.col("number").fill_nan(None)
    exact = pl.col("intime") + pl.duration(seconds=second)
    charttime = (
        pl.when(pl.col("itemid") == PEEP).then(exact).otherwise(exact.dt.truncate("1m"))
    )  # settings: to the second
    late = pl.when(second % 97 == 5).then(pl.lit(9 * 3600)).otherwise(60 * (3 + second % 50))
    stay = ids.with_columns(caregiver_id=pl.Series(caregiver)).with_row_index("stay").cast({"stay": pl.Int64})
    units = item_dictionary().select("itemid", valueuom="unitname")
    return (
        pl.concat([charted, copies])
        .join(stay, on="stay")
        .join(units, on="itemid")
        .with_columns(
            charttime=charttime,
            storetime=charttime + pl.duration(seconds=late),
            value=pl.coalesce("words", as_text(number)),
            valuenum=as_text(number),
            warning=pl.when(pl.col("words").is_null()).then((second % 41 == 0).cast(pl.Int64)),
        )
        .sort("subject_id", "stay_id", "charttime", "itemid", "value")
        .select(COLUMNS["chartevents"].split(","))
    )


def _chart_stay(
    chart: _Chart, subjects: Subjects, admissions: Admissions, stays: Stays, row: int, random: np.random.Generator
) -> None:
    """Chart one stay: vitals hourly for two days and every four hours later, the rest every four hours."""
    subject = int(admissions.subject[stays.admission[row]])
    hours = (stays.outtime[row] - stays.intime[row]) / HOUR
    hourly = np.concatenate([np.arange(0.2, min(hours, 50)), np.arange(53, max(hours, 53), 4)])
    fourly = np.arange(0.5, hours, 4.0)

    def course(second: np.ndarray) -> np.ndarray:
        time = stays.intime[row] + second.astype("timedelta64[s]")
        return severity_at(subjects, admissions, subject=np.full(len(second), subject), time=time)

    second = _seconds(hourly, random)
    severity = course(second)
    for item in measurements.VITALS:
        kept = random.random(len(second)) > 0.05
        value = values_of(item, severity[kept], subjects.signature[subject], random)
        chart.add(row, item.itemid, second[kept], value)
    second = _seconds(fourly, random)
    severity = course(second)
    for item in measurements.SLOW_VITALS:
        value = values_of(item, severity, subjects.signature[subject], random)
        if item.itemid == FAHRENHEIT and stays.stay_id[row] % 3 == 0:  # this unit charts degrees Celsius
            chart.add(row, CELSIUS, second, np.round((value - 32) / 1.8, 1))
        else:
            chart.add(row, item.itemid, second, value)
    _consciousness(chart, row, second, severity, random)
    _support(chart, stays, row, hours, random)
    _body(chart, row, subjects.signature[subject], bool(subjects.female[subject]), random)


def _consciousness(
    chart: _Chart, row: int, second: np.ndarray, severity: np.ndarray, random: np.random.Generator
) -> None:
    stroke, sepsis = severity[:, CONDITIONS.index("stroke")], severity[:, CONDITIONS.index("sepsis")]
    clear = np.clip(np.rint(2.2 - 2.0 * stroke - 0.8 * sepsis + 0.2 * random.standard_normal(len(second))), 0, 2)
    level = clear.astype(int)
    for item, words, first in ((220739, EYES, 2), (223900, VERBAL, 3), (223901, MOTOR, 4)):
        chart.add(row, item, second, level + float(first), [words[at] for at in level])
    fast = severity[:, CONDITIONS.index("heart_failure")] + severity[:, CONDITIONS.index("heart_surgery")] > 0.9
    rhythm = ["AF (Atrial Fibrillation)" if af else "SR (Sinus Rhythm)" for af in fast]
    chart.add(row, 220048, second, np.full(len(second), np.nan), rhythm)


def _support(chart: _Chart, stays: Stays, row: int, hours: float, random: np.random.Generator) -> None:
    """PEEP and inspired oxygen while ventilated, a little oxygen before or without: its absence foretells nothing."""
    begins = stays.onset["peep"][row]
    second = _seconds(np.arange(1.0, hours if np.isnan(begins) else max(begins / 3600, 0), 12.0), random)
    chart.add(row, 223835, second, np.full(len(second), 28.0))
    if np.isnan(begins):
        return
    second = np.arange(begins, min(hours * 3600, begins + 72 * 3600), 4 * 3600).astype(np.int64)
    chart.add(row, PEEP, second, random.choice((5.0, 8.0, 10.0), size=len(second)))
    chart.add(row, 223835, second, np.round(random.uniform(40, 70, len(second))))


def _body(chart: _Chart, row: int, signature: np.ndarray, female: bool, random: np.random.Generator) -> None:
    height = 176 - 13 * female + 4 * signature[SIGNATURE.index("lung_volume")] + random.normal(0, 1)
    weight = 80 - 9 * female + 14 * signature[SIGNATURE.index("soft_tissue")] + random.normal(0, 1.5)
    at = np.array([600])
    for item, value in ((226730, round(height)), (226512, round(weight, 1)), (226531, round(weight * 2.20462, 1))):
        chart.add(row, item, at, np.array([float(value)]))


def _seconds(hours: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Whole minutes near these hours, a tenth of them left out."""
    kept = hours[random.random(len(hours)) > 0.1]
    return (np.rint((kept + random.uniform(-0.15, 0.15, len(kept))) * 60) * 60).astype(np.int64)
