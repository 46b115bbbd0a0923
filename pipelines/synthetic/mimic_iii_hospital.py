"""What the hospital's own systems gave MIMIC-III: patients, admissions, stays, codes, drugs, labs, cultures, items.

Both charting systems share these. ICD-9 alone; prescriptions have days instead of times; labs have no time of storing.
"""

import polars as pl

from pipelines.synthetic import conditions, measurements
from pipelines.synthetic import mimic_iii_items as items
from pipelines.synthetic.microbiology import ANTIBIOTICS, CULTURES, ORGANISMS
from pipelines.synthetic.mimic_iii_people import Members
from pipelines.synthetic.mimic_iv_icu import item_dictionary
from pipelines.synthetic.randomness import generator

UNITS = {
    "Medical Intensive Care Unit (MICU)": "MICU",
    "Cardiac Vascular Intensive Care Unit (CVICU)": "CSRU",
    "Medical/Surgical Intensive Care Unit (MICU/SICU)": "MICU",
    "Surgical Intensive Care Unit (SICU)": "SICU",
    "Coronary Care Unit (CCU)": "CCU",
    "Trauma SICU (TSICU)": "TSICU",
}
WARDS = {"MICU": 50, "CSRU": 14, "SICU": 33, "CCU": 7, "TSICU": 15}
TYPES = {"EW EMER.": "EMERGENCY", "URGENT": "URGENT", "OBSERVATION ADMIT": "URGENT", "ELECTIVE": "ELECTIVE"}
FROM = {
    "EMERGENCY ROOM": "EMERGENCY ROOM ADMIT",
    "PHYSICIAN REFERRAL": "PHYS REFERRAL/NORMAL DELI",
    "TRANSFER FROM HOSPITAL": "TRANSFER FROM HOSP/EXTRAM",
}
TO = {
    "DIED": "DEAD/EXPIRED",
    "HOME": "HOME",
    "HOME HEALTH CARE": "HOME HEALTH CARE",
    "SKILLED NURSING FACILITY": "SNF",
    "REHAB": "REHAB/DISTINCT PART HOSP",
}
RELIGIONS = ("CATHOLIC", "PROTESTANT QUAKER", "JEWISH", "NOT SPECIFIED", "UNOBTAINABLE")
DAY = pl.duration(days=1)
# HIPAA: who is older than 89 appears as 300.
OLDEST, SHIFT_OF_OLDEST = 89, 300
Tables = dict[str, pl.DataFrame]


def tables(named: Tables, members: Members, *, seed: int) -> Tables:
    """Render the hospital's tables, without row_id.

    Args:
        named: MIMIC-IV's tables under MIMIC-III's ids and dates.
        members: who is in it.
        seed: the settings' seed.
    """
    subjects = members.subjects
    stays = named["icustays"]
    carevue = stays.filter(pl.col("dbsource") == "carevue")["hadm_id"].unique().implode()
    return {
        "patients": _patients(named["patients"], named["admissions"]),
        "admissions": _admissions(named["admissions"], named["diagnoses_icd"], carevue, seed=seed),
        "icustays": _icustays(stays),
        "diagnoses_icd": _diagnoses(named["diagnoses_icd"], named["admissions"]),
        "d_icd_diagnoses": _titles(),
        "prescriptions": _prescriptions(named["prescriptions"], stays, carevue),
        "labevents": _labs(named["labevents"], subjects),
        "microbiologyevents": _cultures(named["microbiologyevents"]),
        "d_items": _items(),
        "d_labitems": pl.DataFrame(
            [(i.itemid, i.label, "Blood", i.category, items.LOINC.get(i.itemid)) for i in measurements.LABS],
            schema=["itemid", "label", "fluid", "category", "loinc_code"],
            orient="row",
        ).sort("itemid"),
    }


def _patients(patients: pl.DataFrame, admissions: pl.DataFrame) -> pl.DataFrame:
    last = admissions.group_by("subject_id").agg(
        died=pl.col("deathtime").max(), first=pl.col("admittime").min(), left=pl.col("dischtime").max()
    )
    turn = pl.col("subject_id") % 12 + 1
    born = pl.datetime(pl.col("anchor_year") - pl.col("anchor_age"), turn, 1 + pl.col("subject_id") % 28)
    dod = pl.col("dod").str.to_datetime("%Y-%m-%d", time_unit="ms") + pl.col("shift")
    rows = patients.join(last, on="subject_id", maintain_order="left").with_columns(
        dob=born.cast(pl.Datetime("ms")) + pl.col("shift"), dod=dod
    )
    # A twin may have died after MIMIC-III ends: only what it can know is there.
    rows = rows.with_columns(dod=pl.when(pl.col("dod") <= pl.col("left") + pl.duration(days=400)).then("dod"))
    age = (pl.col("first") - pl.col("dob")).dt.total_days() / 365.25
    midnight = pl.col("dob").dt.truncate("1d")
    return rows.select(
        "subject_id",
        "gender",
        dob=pl.when(age > OLDEST).then(midnight.dt.offset_by(f"-{SHIFT_OF_OLDEST - 91}y")).otherwise(midnight),
        dod="dod",
        dod_hosp=pl.when(pl.col("died").is_not_null()).then(pl.col("died").dt.truncate("1d")),
        dod_ssn=pl.when(pl.col("died").is_null() | (pl.col("subject_id") % 3 > 0)).then("dod"),
        expire_flag=pl.col("dod").is_not_null().cast(pl.Int64),
    )


def _admissions(admissions: pl.DataFrame, codes: pl.DataFrame, carevue: pl.Series, *, seed: int) -> pl.DataFrame:
    titles = _titles().select(icd_code=pl.col("icd9_code"), diagnosis=pl.col("short_title").str.to_uppercase())
    first = codes.filter(pl.col("seq_num") == 1).with_columns(pl.col("icd_code").str.strip_chars_end())
    first = first.join(titles, on="icd_code", how="left").select("hadm_id", "diagnosis")
    random = generator(seed, "mimic-iii religion")
    religion = random.choice(RELIGIONS, size=len(admissions)).tolist()
    english = pl.when(pl.col("language").str.to_uppercase() == "ENGLISH").then(pl.lit("ENGL")).otherwise(pl.lit("SPAN"))
    silent = pl.col("hadm_id").is_in(carevue) & (pl.col("hadm_id") % 6 > 0)
    insurance = pl.when(pl.col("insurance").is_in(["Medicare", "Medicaid"])).then("insurance")
    rest = pl.when(pl.col("subject_id") % 9 == 0).then(pl.lit("Self Pay")).otherwise(pl.lit("Private"))
    return (
        admissions.with_columns(religion=pl.Series(religion))
        .join(first, on="hadm_id", how="left", maintain_order="left")
        .with_columns(
            admission_type=pl.col("admission_type").replace_strict(TYPES, default=None),
            admission_location=pl.col("admission_location").replace_strict(FROM, default=None),
            discharge_location=pl.col("discharge_location").replace_strict(TO, default=None),
            insurance=pl.coalesce(insurance, rest),
            language=pl.when(~silent).then(english),
            ethnicity="race",
            diagnosis=pl.col("diagnosis").fill_null("TELEMETRY"),
            has_chartevents_data=pl.lit(1),
        )
    )


def _icustays(stays: pl.DataFrame) -> pl.DataFrame:
    units = {name: pl.col(name).replace_strict(UNITS, default=None) for name in ("first_careunit", "last_careunit")}
    stays = stays.with_columns(**units)
    wards = {
        f"{end}_wardid": pl.col(f"{end}_careunit").replace_strict(WARDS, default=None) for end in ("first", "last")
    }
    return stays.with_columns(los=pl.col("los").round(4), **wards)


def _diagnoses(codes: pl.DataFrame, admissions: pl.DataFrame) -> pl.DataFrame:
    """ICD-9 codes; an admission without any has one row that says nothing, as published."""
    assert (codes["icd_version"] == 9).all(), "MIMIC-III is coded in ICD-9"
    rows = codes.select("subject_id", "hadm_id", "seq_num", icd9_code="icd_code")
    without = admissions.join(codes, on="hadm_id", how="anti").select("subject_id", "hadm_id")
    nothing = without.with_columns(seq_num=pl.lit(None, pl.Int64), icd9_code=pl.lit(None, pl.String))
    return pl.concat([rows, nothing])


def _titles() -> pl.DataFrame:
    rows = sorted((code, title) for (code, version), title in conditions.CODE_TITLES.items() if version == 9)
    table = pl.DataFrame(rows, schema=["icd9_code", "long_title"], orient="row")
    return table.with_columns(short_title=pl.col("long_title").str.slice(0, 24).str.strip_chars_end())


def _prescriptions(drugs: pl.DataFrame, stays: pl.DataFrame, carevue: pl.Series) -> pl.DataFrame:
    """Drugs by the day; some CareVue admissions have none that is MAIN."""
    without_main = pl.col("hadm_id").is_in(carevue) & (pl.col("hadm_id") % 8 == 3)
    drugs = drugs.filter(~(without_main & (pl.col("drug_type") == "MAIN")))
    first = stays.sort("intime").group_by("hadm_id", maintain_order=True).first()
    ordered = pl.col("hadm_id") % 2 == 0  # by the order entry system, which names a drug three times
    return drugs.join(
        first.select("hadm_id", "icustay_id"), on="hadm_id", how="left", maintain_order="left"
    ).with_columns(
        icustay_id=pl.when(~ordered).then("icustay_id"),
        startdate=pl.col("starttime").dt.truncate("1d"),
        enddate=pl.col("stoptime").dt.truncate("1d"),
        drug_name_poe=pl.when(ordered).then("drug"),
        drug_name_generic=pl.when(ordered).then("drug"),
    )


def _labs(labs: pl.DataFrame, subjects: pl.DataFrame) -> pl.DataFrame:
    """Results in the items that MIMIC-III knows; the specimen's time is all there is."""
    known = pl.col("itemid").is_in([item.itemid for item in measurements.LABS])
    return labs.filter(known, pl.col("subject_id").is_in(subjects["subject_id"].implode()))


def _cultures(rows: pl.DataFrame) -> pl.DataFrame:
    blank = pl.col("dilution_comparison").str.strip_chars_end()
    return rows.with_columns(chartdate=pl.col("chartdate").dt.truncate("1d"), dilution_comparison=blank)


def _items() -> pl.DataFrame:
    """MetaVision's items, CareVue's, and those of the microbiology, with what each is linked to."""
    renamed = {"inputevents": "inputevents_mv", "procedureevents": "procedureevents_mv"}
    metavision = item_dictionary().select(
        "itemid", "label", "abbreviation", "category", "unitname", "param_type",
        dbsource=pl.lit("metavision"), linksto=pl.col("linksto").replace(renamed),
    )  # fmt: skip
    carevue = pl.DataFrame(
        [(item, label, items.carevue_table(item)) for item, label in items.CAREVUE_LABELS.items()],
        schema=["itemid", "label", "linksto"],
        orient="row",
    ).with_columns(dbsource=pl.lit("carevue"))
    specimens = [(spec, name, "SPECIMEN") for spec, name, *_ in CULTURES]
    grown = [(item, name, "ORGANISM") for item, name in ORGANISMS.items()]
    tried = [(item, name, "ANTIBACTERIUM") for item, name in ANTIBIOTICS.items()]
    hospital = pl.DataFrame([*specimens, *grown, *tried], schema=["itemid", "label", "category"], orient="row")
    hospital = hospital.with_columns(dbsource=pl.lit("hospital"), linksto=pl.lit("microbiologyevents"))
    table = pl.concat([carevue, hospital, metavision], how="diagonal_relaxed").sort("itemid")
    return table.with_columns(conceptid=pl.lit(None, pl.Int64))
