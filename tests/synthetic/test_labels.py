"""Every label of every cohort has positives enough, counted straight from the raw files, and can be learned from them.

The definitions are restated here in a few lines each, apart from the project's own SQL: acute respiratory failure is
PEEP set or ventilation, shock a running pressor, either at 48 h after the stay's begin or later and never before;
mortality is death in hospital of whoever was alive and in the unit at 48 h; readmission is an ICU admission within 30
days of a discharge alive; acute kidney injury is creatinine 0.3 mg/dL above the lowest of two days or half above that
of seven, at 48 h or later and never before, of whoever has no end-stage disease and was measured before and after.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lake.ids import id_share
from pipelines.synthetic import SyntheticSettings
from pipelines.synthetic.cohort import Cohort
from pipelines.synthetic.critical import draw_cohort, draw_holdout
from pipelines.synthetic.mimic_iii_people import draw_members
from pipelines.synthetic.mimic_iv_tree import render_mimic_iv

T = pl.duration(hours=48)
COHORTS = ("metavision", "carevue", "carevue_filtered", "ehr_holdout")
DRAWN = ("arf", "shock", "mortality", "readmission")
LABELS = (*DRAWN, "aki")


# Of the planted kidney injuries, how many the definition leaves: others were injured before, or had end-stage disease.
MEASURED_SHARE = 0.6


class Raw:
    """One database's files, read as a person with a notebook would; `files` keeps what was read."""

    def __init__(self, raw: Path, cohort: str, files: dict[tuple[Path, str], pl.DataFrame]) -> None:
        self.files = files
        self.wide: dict[bool, pl.DataFrame] = {}
        self.is_iv = cohort == "ehr_holdout"
        self.root = raw / {"ehr_holdout": "mimic-iv", "carevue": "mimic-iii-carevue"}.get(cohort, "mimic-iii")
        stays = self.read("icustays", "icu").rename({"icustay_id": "stay_id"}, strict=False)
        if self.is_iv:
            held_out = [id_ for id_ in stays["subject_id"].unique().to_list() if id_share(0, id_) < 0.15]
            stays = stays.filter(pl.col("subject_id").is_in(held_out))
        if cohort == "metavision":
            stays = stays.filter(pl.col("dbsource") == "metavision")
        if cohort == "carevue_filtered":
            newer = stays.filter(pl.col("dbsource") != "carevue")["subject_id"].implode()
            stays = stays.filter(~pl.col("subject_id").is_in(newer))
        admissions = self.read("admissions", "hosp")
        self.stays = stays.join(admissions.drop("subject_id"), on="hadm_id")

    def read(self, table: str, folder: str) -> pl.DataFrame:
        key = (self.root, table)
        if key not in self.files:
            self.files[key] = self._read(table, folder)
        return self.files[key]

    def _read(self, table: str, folder: str) -> pl.DataFrame:
        path = self.root / (f"{folder}/{table}.csv.gz" if self.is_iv else f"{table.upper()}.csv.gz")
        rows = pl.read_csv(path, infer_schema=False).rename(str.lower).rename({"icustay_id": "stay_id"}, strict=False)
        numbers = [name for name in rows.columns if name.endswith("id") or name in ("error", "hospital_expire_flag")]
        times = [name for name in rows.columns if name.endswith("time")]
        measures = [name for name in ("valuenum", "rate", "amount") if name in rows.columns]
        return rows.with_columns(
            pl.col(numbers).cast(pl.Int64, strict=False),
            pl.col(times).str.to_datetime("%Y-%m-%d %H:%M:%S"),
            pl.col(measures).cast(pl.Float64),
        )

    def base(self) -> pl.DataFrame:
        """Stays of adults who were in the unit and alive at 48 h."""
        in_unit = pl.col("outtime") - pl.col("intime") >= T
        alive = pl.col("deathtime").is_null() | (pl.col("deathtime") >= pl.col("intime") + T)
        return self.stays.filter(in_unit & alive)

    def breathing(self) -> pl.DataFrame:
        """stay_id and time of everything that says ventilated."""
        chart = self.read("chartevents", "icu")
        error = pl.col("error").fill_null(0) == 1 if "error" in chart.columns else pl.lit(False)
        word, item = pl.col("value").str.strip_chars(), pl.col("itemid")
        peep = item.is_in([220339, 505, 506]) & pl.col("valuenum").is_not_null()
        mode = (item == 720) & (word != "Other/Remarks")
        mask = (item == 467) & word.is_in(["Ventilator", "Bipap Mask", "CPAP Mask"])
        pressures = (item.is_in([64, 66]) & pl.col("valuenum").is_not_null()) | ((item == 68) & word.is_not_null())
        charted = chart.filter(~error & (peep | mode | mask | pressures)).select("stay_id", time="charttime")
        procedures = self.read("procedureevents" if self.is_iv else "procedureevents_mv", "icu")
        ran = procedures.filter(pl.col("statusdescription") != "Rewritten", pl.col("itemid").is_in([225792, 225794]))
        return pl.concat([charted, ran.select("stay_id", time="starttime")])

    def pressors(self) -> pl.DataFrame:
        """stay_id and time of every pressor that ran."""
        inputs = self.read("inputevents" if self.is_iv else "inputevents_mv", "icu")
        newer = inputs.filter(
            pl.col("statusdescription") != "Rewritten", pl.col("itemid").is_in([221906, 221289, 221662, 222315, 221749])
        ).select("stay_id", time="starttime")
        if self.is_iv:
            return newer
        items = [30120, 30047, 30119, 30044, 30309, 30043, 30307, 30051, 42273, 42802, 30128, 30127]
        ran = (pl.col("rate") > 0) | (pl.col("rate").is_null() & (pl.col("amount") > 0))
        older = self.read("inputevents_cv", "icu").filter(pl.col("itemid").is_in(items), ran)
        older = older.select("stay_id", time="charttime")
        return pl.concat([older, newer])

    def labels(self, label: str) -> pl.DataFrame:
        """stay_id and y of whoever can have the label."""
        if label == "mortality":
            return self.base().select("stay_id", y="hospital_expire_flag")
        if label == "readmission":
            last = self.stays.sort("intime").group_by("hadm_id", maintain_order=True).last()
            last = last.filter(pl.col("hospital_expire_flag") == 0)
            later = self.stays.select("subject_id", again="admittime")
            gap = pl.col("again") - pl.col("dischtime")
            soon = last.join(later, on="subject_id").filter(gap > pl.duration(), gap <= pl.duration(days=30))["stay_id"]
            return last.select("stay_id", y=pl.col("stay_id").is_in(soon.implode()).cast(pl.Int64))
        if label == "aki":
            return self.kidneys()
        events = self.breathing() if label == "arf" else self.pressors()
        onset = events.group_by("stay_id").agg(onset=pl.col("time").min())
        stays = self.base().join(onset, on="stay_id", how="left")
        early = pl.col("onset").is_not_null() & (pl.col("onset") < pl.col("intime") + T)
        return stays.filter(~early).select("stay_id", y=pl.col("onset").is_not_null().cast(pl.Int64))

    def kidneys(self) -> pl.DataFrame:
        """stay_id and y of whoever can have acute kidney injury."""
        labs = self.read("labevents", "hosp").filter(pl.col("itemid") == 50912).sort("subject_id", "charttime")
        number = pl.col("valuenum")
        lowest = {
            days: number.rolling_min_by("charttime", f"{days}d", closed="left").over("subject_id") for days in (2, 7)
        }
        labs = labs.select(
            "subject_id", "charttime", injured=(number > lowest[2] + 0.299) | (number > lowest[7] * 1.499)
        )
        codes = self.read("diagnoses_icd", "hosp").rename({"icd9_code": "icd_code"}, strict=False)
        ended = codes.filter(pl.col("icd_code").str.strip_chars().is_in(["5856", "N186"]))["hadm_id"]
        time, index = pl.col("charttime"), pl.col("intime") + T
        week = pl.duration(days=7)
        near = self.base().filter(~pl.col("hadm_id").is_in(ended.implode())).join(labs, on="subject_id")
        near = near.filter(time >= pl.min_horizontal("admittime", pl.col("intime") - week), time <= pl.col("outtime"))
        found = near.group_by("stay_id").agg(
            early=(pl.col("injured") & (time < index)).any(),
            y=(pl.col("injured") & (time >= index)).any().cast(pl.Int64),
            before=((time < index) & (time >= index - week)).any(),
            after=(time >= index).any(),
        )
        return found.filter("before", "after", ~pl.col("early")).select("stay_id", "y").sort("stay_id")

    def early_readings(self, stays: pl.DataFrame, *, charted: bool = False) -> np.ndarray:
        """Mean of every charted number and lab of the first 48 h: float (n, items), the item's mean where none.

        With `charted`, whether the item is there at all, over all event tables.
        """
        if charted not in self.wide:
            self.wide[charted] = self._early(charted=charted)
        wide = stays.select("stay_id").join(self.wide[charted], on="stay_id", how="left", maintain_order="left")
        wide = wide.drop("stay_id")
        if charted:
            return wide.fill_null(0.0).to_numpy()
        return wide.select(pl.all().fill_null(pl.all().mean()).fill_null(0.0)).to_numpy()

    def _early(self, *, charted: bool) -> pl.DataFrame:
        """One row per stay with a reading in its first 48 h, a column per item."""
        times = self.stays.select("stay_id", "subject_id", "intime")
        chart = self.read("chartevents", "icu").join(times.drop("subject_id"), on="stay_id")
        labs = self.read("labevents", "hosp").join(times, on="subject_id")
        columns = ("stay_id", "itemid", "charttime", "intime", "valuenum")
        rows = pl.concat([frame.select(columns) for frame in (chart, labs)], how="vertical_relaxed")
        if charted:
            rows = pl.concat([rows.select(columns[:4]), *self._further(times.drop("subject_id"))])
            rows = rows.with_columns(valuenum=pl.lit(1.0))
        rows = rows.filter(pl.col("charttime").is_between("intime", pl.col("intime") + T, closed="left"))
        means = rows.group_by("stay_id", "itemid").agg(pl.col("valuenum").mean()).drop_nulls()
        return means.sort("itemid").pivot(on="itemid", index="stay_id", values="valuenum")

    def _further(self, times: pl.DataFrame) -> list[pl.DataFrame]:
        """stay_id, itemid, charttime, intime of outputs, dates, infusions and procedures that ran."""
        infusions = ["inputevents", "procedureevents"] if self.is_iv else ["inputevents_mv", "procedureevents_mv"]
        found = []
        for name in ("outputevents", "datetimeevents", *infusions, *([] if self.is_iv else ["inputevents_cv"])):
            rows = self.read(name, "icu")
            rows = (
                rows.filter(pl.col("statusdescription") != "Rewritten") if "statusdescription" in rows.columns else rows
            )
            rows = rows.rename({"starttime": "charttime"}, strict=False).join(times, on="stay_id")
            found.append(rows.select("stay_id", "itemid", "charttime", "intime"))
        return found


@pytest.fixture(scope="module")
def databases(hospital: Path) -> Callable[[str], Raw]:
    files: dict[tuple[Path, str], pl.DataFrame] = {}
    return functools.cache(lambda cohort: Raw(hospital, cohort, files))


@pytest.fixture(params=COHORTS)
def database(request: pytest.FixtureRequest, databases: Callable[[str], Raw]) -> Raw:
    return databases(request.param)


def _areas(columns: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Area under the curve of every column (n, k) taken as a score of y (n,), from ranks."""
    positive = y == 1
    number = positive.sum()
    sums = rankdata(columns, axis=0)[positive].sum(0)
    return (sums - number * (number + 1) / 2) / (number * (~positive).sum())


def test_every_label_has_thirty_positives_and_more_negatives(database: Raw) -> None:
    for label in LABELS:
        y = database.labels(label)["y"]
        assert 30 <= y.sum() < len(y) / 2, (label, y.sum(), len(y))


def test_labels_can_be_learned_from_the_first_two_days_and_no_reading_gives_them_away(database: Raw) -> None:
    for label in ("arf", "shock", "mortality", "aki"):
        stays = database.labels(label)
        x, y = database.early_readings(stays), stays["y"].to_numpy()
        assert np.abs(_areas(x, y) - 0.5).max() < 0.45, label
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=300))
        predicted = cross_val_predict(model, x, y, cv=4, method="predict_proba")[:, 1]
        assert roc_auc_score(y, predicted) > 0.6, (label, roc_auc_score(y, predicted))


def test_what_is_charted_at_all_in_the_first_two_days_foretells_little(databases: Callable[[str], Raw]) -> None:
    for cohort in ("metavision", "carevue"):
        database = databases(cohort)
        for label in ("arf", "shock", "mortality", "aki"):
            stays = database.labels(label)
            there = database.early_readings(stays, charted=True)
            assert np.abs(_areas(there, stays["y"].to_numpy()) - 0.5).max() < 0.28, (cohort, label)


def test_the_evaluation_size_has_two_hundred_positives_of_every_label(hospital_settings: SyntheticSettings) -> None:
    settings = replace(hospital_settings, num_ehr_subjects=6, num_twins=0).evaluation_size()
    cohort = draw_cohort(settings)
    iv = render_mimic_iv(cohort, settings=settings)
    holdout = draw_holdout(settings, taken=cohort.ids())
    members = draw_members(cohort, iv, settings=settings, taken=cohort.ids() | holdout.ids())
    own = members.cohort
    owner = own.subjects.subject_id[own.admissions.subject[own.stays.admission]]
    people = members.subjects.to_dict(as_series=False)
    system = dict(zip(people["subject"], people["system"], strict=True))
    clean = dict(zip(people["subject"], people["is_clean"], strict=True))
    cohorts = {
        "metavision": (own, np.array([system[id_] == "metavision" for id_ in owner.tolist()])),
        "carevue": (own, np.array([clean[id_] for id_ in owner.tolist()])),
        "carevue_filtered": (own, np.array([system[id_] == "carevue" for id_ in owner.tolist()])),
        "ehr_holdout": (holdout, np.ones(len(holdout.stays.stay_id), dtype=bool)),
    }
    for name, (who, kept) in cohorts.items():
        for label, number in _drawn_positives(who, kept).items():
            seen = MEASURED_SHARE * number if label == "aki" else number
            assert seen >= 200, (name, label, number)


def test_what_is_drawn_is_what_the_files_say(hospital: Path, hospital_settings: SyntheticSettings) -> None:
    cohort = draw_cohort(hospital_settings)
    holdout = draw_holdout(hospital_settings, taken=cohort.ids())
    database = Raw(hospital, "ehr_holdout", {})
    drawn = set(holdout.subjects.subject_id.tolist())
    database.stays = database.stays.filter(pl.col("subject_id").is_in(drawn))
    positives = _drawn_positives(holdout, np.ones(len(holdout.stays.stay_id), dtype=bool))
    assert min(positives.values()) >= 30
    assert positives["aki"] == (~np.isnan(holdout.stays.injury)).sum()
    for label in DRAWN:
        assert positives[label] == database.labels(label)["y"].sum(), label
    failed = set(holdout.stays.stay_id[~np.isnan(holdout.stays.injury)].tolist())
    injured = database.labels("aki").with_columns(drawn=pl.col("stay_id").is_in(list(failed)))
    assert injured.filter("drawn")["y"].mean() > 0.85 > 0.15 > injured.filter(~pl.col("drawn"))["y"].mean()
    assert injured["drawn"].sum() > MEASURED_SHARE * len(failed)


def _drawn_positives(cohort: Cohort, kept: np.ndarray) -> dict[str, int]:
    """Positives of every label among some stays, from what was drawn, before anything was written."""
    stays, admissions = cohort.stays, cohort.admissions
    hours = np.timedelta64(48, "h")
    died = admissions.died[stays.admission]
    alive = ~(died & (admissions.discharge[stays.admission] < stays.intime + hours))
    base = kept & alive & (stays.outtime - stays.intime >= hours)
    breathing = np.fmin.reduce([stays.onset[name] for name in ("peep", "invasive", "noninvasive")])
    inside = np.unique(stays.admission[kept])
    alive_inside = inside[~admissions.died[inside]]
    gap = (admissions.admit[None, inside] - admissions.discharge[alive_inside, None]) / np.timedelta64(1, "D")
    same = admissions.subject[None, inside] == admissions.subject[alive_inside, None]
    pressor, death = stays.onset["pressor"], admissions.discharge[stays.admission] - stays.intime
    return {
        "arf": int((base & (breathing >= 48 * 3600)).sum()),
        "arf within two days": int((base & (breathing >= 48 * 3600) & (breathing <= 96 * 3600)).sum()),
        "shock": int((base & (pressor >= 48 * 3600)).sum()),
        "shock within two days": int((base & (pressor >= 48 * 3600) & (pressor <= 96 * 3600)).sum()),
        "mortality": int((base & died).sum()),
        "mortality within two days": int((base & died & (death <= 2 * hours)).sum()),
        "aki": int((base & ~np.isnan(stays.injury)).sum()),
        "readmission": int((same & (gap > 0) & (gap <= 30)).any(axis=1).sum()),
    }


def test_counting_every_pressor_row_of_carevue_would_invent_and_shift_onsets(databases: Callable[[str], Raw]) -> None:
    carevue = databases("carevue")
    pressors = pl.col("itemid").is_in([30120, 30047, 30119, 30044, 30128, 30127, 30051, 42273, 30043, 30307])
    rows = carevue.read("inputevents_cv", "icu").filter(pressors)
    naive = rows.group_by("stay_id").agg(onset=pl.col("charttime").min())
    ran = carevue.pressors().group_by("stay_id").agg(onset=pl.col("time").min())
    assert not naive.join(ran, on="stay_id", how="anti").is_empty(), "no onset would be invented"
    shifted = naive.join(ran, on="stay_id").filter(pl.col("onset") < pl.col("onset_right"))
    assert not shifted.is_empty(), "no onset would be shifted"
