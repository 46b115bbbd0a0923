"""Large MIMIC-IV trees for benchmarks: stays and as many charted readings as asked for, written in a stream.

Values are plausible and carry no planted structure: what is measured with them is speed and memory.
"""

from pathlib import Path

import numpy as np
import polars as pl

from pipelines.synthetic.measurements import VITALS
from pipelines.synthetic.mimic_iv import COLUMNS as HOSP
from pipelines.synthetic.mimic_iv_icu import COLUMNS as ICU
from pipelines.synthetic.mimic_iv_icu import item_dictionary
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.writing import DATETIME, gzip_file, new_folder, write_csv_gz

ROWS_PER_STAY = 480
STAYS_PER_BLOCK = 512
SECONDS = 54 * 3600


def write_chartevents(root: Path, *, num_rows: int, seed: int) -> None:
    """Write a MIMIC-IV tree with exactly this many chartevents rows, in memory that does not grow with it.

    Args:
        root: gets hosp/ (patients, admissions; labevents and d_labitems without rows) and icu/ (icustays, chartevents,
            d_items); replaced as a whole.
        num_rows: rows of chartevents; every 480 belong to one stay of one subject.
        seed: everything is drawn from it.

    Raises:
        ValueError: num_rows is not positive.
    """
    if num_rows < 1:
        raise ValueError(f"num_rows is {num_rows}: ask for at least one row")
    number = -(-num_rows // ROWS_PER_STAY)
    with new_folder(root) as folder:
        stays = _stays(number, seed)
        _write_small(folder, stays)
        with gzip_file(folder / "icu" / "chartevents.csv.gz", level=1) as packed:
            packed.write((ICU["chartevents"] + "\n").encode())
            for start in range(0, number, STAYS_PER_BLOCK):
                block = _block(stays.slice(start, STAYS_PER_BLOCK), generator(seed, "block", start))
                block = block.head(num_rows - start * ROWS_PER_STAY)
                packed.write(block.write_csv(include_header=False, datetime_format=DATETIME).encode())


def _stays(number: int, seed: int) -> pl.DataFrame:
    random = generator(seed, "stays")
    position = np.arange(number)
    start = np.datetime64("2110-01-01", "s").astype(np.int64) + random.integers(0, 80 * 365 * 86_400, number)
    return pl.DataFrame(
        {
            "subject_id": 10_000_000 + 7 * position,
            "hadm_id": 20_000_000 + 7 * position,
            "stay_id": 30_000_000 + 7 * position,
            "intime": (start * 1000).astype("datetime64[ms]"),
        }
    )


def _block(stays: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    """Readings of some stays: every minute drawn once per stay, ascending, items in turn."""
    number = len(stays)
    item = np.tile(np.arange(ROWS_PER_STAY) % len(VITALS), number)
    minute = np.sort(random.integers(1, SECONDS // 60, (number, ROWS_PER_STAY)), axis=1).ravel()
    middle = np.array([reading.middle for reading in VITALS])[item]
    spread = np.array([3 * reading.spread for reading in VITALS])[item]
    value = np.rint(middle + spread * random.standard_normal(len(item))).astype(np.int64)
    stay = np.repeat(np.arange(number), ROWS_PER_STAY)
    charttime = stays["intime"].to_numpy()[stay].astype("datetime64[m]") + minute
    who = {name: stays[name].to_numpy()[stay] for name in ("subject_id", "hadm_id", "stay_id")}
    units = pl.Series([reading.unit for reading in VITALS])
    return pl.DataFrame(
        {
            **who,
            "caregiver_id": np.repeat(random.integers(1000, 99_999, number), ROWS_PER_STAY),
            "charttime": charttime.astype("datetime64[ms]"),
            "storetime": (charttime + 7).astype("datetime64[ms]"),
            "itemid": np.array([reading.itemid for reading in VITALS])[item],
            "value": value,
            "valuenum": value,
            "valueuom": units.gather(item),
            "warning": np.zeros(len(item), dtype=np.int64),
        }
    )


def _write_small(folder: Path, stays: pl.DataFrame) -> None:
    out = pl.col("intime") + pl.duration(seconds=SECONDS)
    unit = pl.lit("Medical Intensive Care Unit (MICU)")
    icu = stays.with_columns(first_careunit=unit, last_careunit=unit, outtime=out, los=pl.lit(SECONDS / 86_400))
    write_csv_gz(folder / "icu" / "icustays.csv.gz", icu.select(ICU["icustays"].split(",")))
    write_csv_gz(folder / "icu" / "d_items.csv.gz", item_dictionary())
    patients = stays.select(
        "subject_id", gender=pl.lit("F"), anchor_age=pl.lit(60), anchor_year=pl.col("intime").dt.year(),
        anchor_year_group=pl.lit("2014 - 2016"), dod=pl.lit(None),
    )  # fmt: skip
    write_csv_gz(folder / "hosp" / "patients.csv.gz", patients)
    empty = [
        name
        for name in HOSP["admissions"].split(",")
        if name not in ("subject_id", "hadm_id", "admittime", "dischtime", "admission_type", "hospital_expire_flag")
    ]
    admissions = stays.with_columns(
        admittime="intime", dischtime=out + pl.duration(hours=20), admission_type=pl.lit("URGENT"),
        hospital_expire_flag=pl.lit(0), **{name: pl.lit(None) for name in empty},
    )  # fmt: skip
    write_csv_gz(folder / "hosp" / "admissions.csv.gz", admissions.select(HOSP["admissions"].split(",")))
    for name in ("labevents", "d_labitems"):  # a release is known by them
        with gzip_file(folder / "hosp" / f"{name}.csv.gz", level=1) as packed:
            packed.write((HOSP[name] + "\n").encode())
