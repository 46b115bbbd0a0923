"""MIMIC-III: published headers and ids, and what makes each of its two systems hard to read."""

import gzip
import os
import re
from pathlib import Path

import polars as pl
import pytest

TABLES = (
    "PATIENTS", "ADMISSIONS", "ICUSTAYS", "DIAGNOSES_ICD", "D_ICD_DIAGNOSES", "PRESCRIPTIONS", "NOTEEVENTS",
    "CHARTEVENTS", "LABEVENTS", "INPUTEVENTS_CV", "INPUTEVENTS_MV", "OUTPUTEVENTS", "PROCEDUREEVENTS_MV",
    "DATETIMEEVENTS", "MICROBIOLOGYEVENTS", "D_ITEMS", "D_LABITEMS",
)  # fmt: skip


@pytest.fixture(scope="module")
def table(raw: Path):
    """Read a table by tree and name, as text, columns in lower case."""
    read: dict[tuple[str, str], pl.DataFrame] = {}

    def read_table(name: str, tree: str = "mimic-iii") -> pl.DataFrame:
        if (tree, name) not in read:
            path = raw / tree / (f"{name.upper()}.csv.gz" if tree.startswith("mimic-iii") else f"{name}.csv.gz")
            read[tree, name] = pl.read_csv(path, infer_schema=False).rename(str.lower)
        return read[tree, name]

    return read_table


@pytest.fixture(scope="module")
def truth(raw: Path):
    return lambda name: pl.read_parquet(raw / "truth" / f"mimic_iii_{name}.parquet")


@pytest.mark.skipif("MEDCSP_TEST_DATA" not in os.environ, reason="MEDCSP_TEST_DATA names the open data folder")
@pytest.mark.parametrize("name", TABLES)
def test_headers_are_those_of_the_real_demo_in_capitals(raw: Path, name: str) -> None:
    real = Path(os.environ["MEDCSP_TEST_DATA"]) / "mimic-iii-demo-10pt" / f"{name}.csv.gz"
    for tree in ("mimic-iii", "mimic-iii-carevue"):
        with gzip.open(raw / tree / f"{name}.csv.gz", "rt") as ours, gzip.open(real, "rt") as theirs:
            assert ours.readline() == theirs.readline().upper()


def test_the_trees_hold_these_tables_and_rows_are_numbered(raw: Path, table) -> None:
    for tree in ("mimic-iii", "mimic-iii-carevue"):
        assert {path.name for path in (raw / tree).iterdir()} == {f"{name}.csv.gz" for name in TABLES}
    for name in TABLES:
        assert table(name)["row_id"].is_unique().all() and len(table(name)), name


def test_the_demo_layout_is_not_compressed_and_in_lower_case(raw: Path, other: Path) -> None:
    files = {path.name for path in (other / "mimic-iii").iterdir()}
    assert files == {*(f"{name}.csv" for name in TABLES), "LICENSE.txt", "SHA256SUMS.txt"}
    first = (other / "mimic-iii/ICUSTAYS.csv").read_text().splitlines()[0]
    with gzip.open(raw / "mimic-iii/ICUSTAYS.csv.gz", "rt") as full:
        assert first == full.readline().rstrip().lower()


def test_ids_have_the_published_ranges(table) -> None:
    for name, column, first, last in (
        ("patients", "subject_id", 1, 99_999),
        ("admissions", "hadm_id", 100_000, 199_999),
        ("icustays", "icustay_id", 200_000, 299_999),
    ):
        ids = table(name)[column].cast(pl.Int64)
        assert ids.is_unique().all() and ids.is_between(first, last).all()


def test_times_have_the_published_format(table) -> None:
    stamp = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
    for name, columns in {
        "patients": ("dob", "dod", "dod_hosp", "dod_ssn"),
        "admissions": ("admittime", "dischtime", "deathtime"),
        "chartevents": ("charttime", "storetime"),
        "prescriptions": ("startdate", "enddate"),
        "noteevents": ("chartdate", "charttime"),
        "microbiologyevents": ("chartdate", "charttime"),
    }.items():
        for column in columns:
            values = table(name)[column].drop_nulls()
            assert len(values) and all(stamp.fullmatch(value) for value in values), (name, column)


def test_stays_are_of_either_system_or_both_and_so_are_subjects(table) -> None:
    stays = table("icustays")
    assert set(stays["dbsource"]) == {"carevue", "metavision", "both"}
    systems = stays.group_by("subject_id").agg(pl.col("dbsource").unique())
    assert systems["dbsource"].list.contains("carevue").sum() > 0
    assert (systems["dbsource"].list.len() > 1).any(), "no subject has stays of both systems"


def test_items_belong_to_the_system_of_the_stay(table) -> None:
    stays = table("icustays").select("icustay_id", "dbsource")
    charted = table("chartevents").join(stays, on="icustay_id")
    old = pl.col("itemid").cast(pl.Int64) < 220_000
    assert charted.filter(pl.col("dbsource") == "carevue").select(old.all()).item()
    assert not charted.filter(pl.col("dbsource") == "metavision").select(old.any()).item()
    both = charted.filter(pl.col("dbsource") == "both")
    last_old = both.filter(old).group_by("icustay_id").agg(pl.col("charttime").max())
    first_new = both.filter(~old).group_by("icustay_id").agg(new=pl.col("charttime").min())
    order = last_old.join(first_new, on="icustay_id")
    assert len(order) and (order["charttime"] < order["new"]).all()
    known = set(table("d_items")["itemid"])
    for name in ("chartevents", "inputevents_cv", "inputevents_mv", "outputevents", "datetimeevents"):
        assert set(table(name)["itemid"]) <= known, name


def test_error_is_null_in_carevue_and_sometimes_one_in_metavision(table) -> None:
    charted = table("chartevents").with_columns(old=pl.col("itemid").cast(pl.Int64) < 220_000)
    assert charted.filter("old")["error"].null_count() == charted["old"].sum()
    newer = charted.filter(~pl.col("old"))
    assert set(newer["error"]) == {"0", "1"}
    assert set(newer.filter(pl.col("error") == "1")["value"]) == {"999"}
    assert set(charted.filter("old")["stopped"]) == {"NotStopd", "D/C'd", None}


def test_carevue_infusions_hold_a_rate_or_an_amount_and_pressors_start_at_rate_zero(table) -> None:
    rows = table("inputevents_cv").with_columns(pl.col("rate", "amount").cast(pl.Float64))
    assert rows.filter(pl.col("rate").is_not_null() & pl.col("amount").is_not_null()).is_empty()
    pressors = rows.filter(pl.col("itemid").is_in(["30120", "30047", "30128", "30127", "30051", "30119", "30044"]))
    first = pressors.sort("charttime").group_by("icustay_id", maintain_order=True).first()
    assert (first["rate"] == 0).any(), "no pressor is set up at rate 0"
    running = pressors.filter((pl.col("rate") > 0) | (pl.col("amount") > 0)).sort("charttime", "rate")
    begun = running.group_by("icustay_id", maintain_order=True).first()
    assert begun["rate"].is_null().any() and begun["rate"].is_not_null().any(), "all pressors begin alike"
    assert (first["rate"].is_null() & first["amount"].is_null()).any(), "no pressor starts with nothing at all"
    rates = pressors.filter(pl.col("rate") > 0)
    amounts = pressors.filter(pl.col("amount") > 0)
    assert len(rates) and len(amounts) and set(rates["orderid"]).isdisjoint(amounts["orderid"])
    ran = set(rates["icustay_id"]) | set(amounts["icustay_id"])
    assert set(pressors["icustay_id"]) - ran, "no pressor was set up and never ran"


def test_vasopressin_runs_by_the_minute_in_carevue_and_by_the_hour_in_metavision(hospital: Path) -> None:
    root = hospital / "mimic-iii"
    older = pl.read_csv(root / "INPUTEVENTS_CV.csv.gz", infer_schema_length=None)
    newer = pl.read_csv(root / "INPUTEVENTS_MV.csv.gz", infer_schema_length=None)
    by_minute = older.filter(pl.col("ITEMID") == 30051, pl.col("RATE") > 0)
    by_hour = newer.filter(pl.col("ITEMID") == 222315, pl.col("STATUSDESCRIPTION") != "Rewritten")
    assert set(by_minute["RATEUOM"]) == {"Umin"} and set(by_hour["RATEUOM"]) == {"units/hour"}
    assert by_minute["RATE"].is_between(0.003, 0.05).all() and by_hour["RATE"].is_between(0.3, 2.5).all()
    swapped = older.filter(pl.col("ITEMID") == 42273)
    assert len(swapped) and set(swapped["AMOUNTUOM"]) == {"Umin", None}


def test_metavision_has_rewritten_rows_before_those_that_ran(table) -> None:
    for name in ("inputevents_mv", "procedureevents_mv"):
        rows = table(name)
        rewritten = rows.filter(pl.col("statusdescription") == "Rewritten")
        assert len(rewritten) and set(rewritten["cancelreason"]) == {"2"}, name
        ran = rows.filter(pl.col("statusdescription") != "Rewritten")
        pairs = rewritten.join(ran, on=["icustay_id", "itemid"])
        assert (
            pairs.group_by("row_id").agg((pl.col("starttime") < pl.col("starttime_right")).all())["starttime"]
        ).all()


def test_labs_are_charted_twice_in_carevue(table) -> None:
    potassium = {
        item: table("chartevents").filter(pl.col("itemid") == item).select("icustay_id", "charttime", "valuenum")
        for item in ("829", "1535")
    }
    assert len(potassium["829"]) and potassium["829"].equals(potassium["1535"])
    labs = table("labevents").filter(pl.col("itemid") == "50971").select("subject_id", "charttime", "valuenum")
    one = table("chartevents").filter(pl.col("itemid") == "829").join(labs, on=["subject_id", "charttime"], how="left")
    difference = one["valuenum"].cast(pl.Float64) - one["valuenum_right"].cast(pl.Float64)
    assert difference.null_count() == 0 and (difference.abs() < 1e-5).all()


def test_oxygen_is_a_fraction_labelled_torr_or_a_percentage(table) -> None:
    means = {}
    for item in ("190", "3420", "223835"):
        rows = table("chartevents").filter(pl.col("itemid") == item, pl.col("error").fill_null("0") == "0")
        means[item] = rows["valuenum"].cast(pl.Float64).mean()
        assert set(rows["valueuom"]) == ({"torr"} if item == "190" else {None})
    assert 0.2 < means["190"] < 1 and 20 < means["3420"] < 100 and 20 < means["223835"] < 100


def test_temperatures_are_calculated_into_the_other_unit(table) -> None:
    charted = table("chartevents").with_columns(pl.col("valuenum").cast(pl.Float64))
    keys = ["icustay_id", "charttime"]
    for item, other, turn in (
        ("678", "677", (pl.col("valuenum") - 32) / 1.8),
        ("676", "679", pl.col("valuenum") * 1.8 + 32),
    ):
        pairs = charted.filter(pl.col("itemid") == item).join(charted.filter(pl.col("itemid") == other), on=keys)
        assert len(pairs) and pairs.select(((turn - pl.col("valuenum_right")).abs() < 1e-4).all()).item()


def test_words_have_trailing_blanks_and_codes_too(table) -> None:
    masks = table("chartevents").filter(pl.col("itemid") == "467")["value"].drop_nulls()
    assert masks.str.ends_with(" ").any() and not masks.str.ends_with(" ").all()
    assert (table("noteevents")["category"] == "Physician ").any()
    codes = table("diagnoses_icd")["icd9_code"].drop_nulls()
    known = set(table("d_icd_diagnoses")["icd9_code"])
    assert set(codes.str.strip_chars_end()) <= known


def test_remarks_are_no_ventilation(table) -> None:
    modes = table("chartevents").filter(pl.col("itemid") == "720")
    ventilated = set(modes.filter(pl.col("value") != "Other/Remarks")["icustay_id"])
    assert ventilated and set(modes["icustay_id"]) - ventilated


def test_some_carevue_admissions_have_no_main_drug_and_days_begin_at_midnight(table) -> None:
    drugs = table("prescriptions")
    assert drugs["startdate"].str.ends_with(" 00:00:00").all()
    main = set(drugs.filter(pl.col("drug_type") == "MAIN")["hadm_id"])
    assert set(drugs["hadm_id"]) - main


def test_notes_are_summaries_without_time_and_some_in_error(table) -> None:
    notes = table("noteevents")
    summaries = notes.filter(pl.col("category") == "Discharge summary")
    assert len(summaries) and summaries["charttime"].null_count() == len(summaries)
    assert set(notes["iserror"]) == {None, "1"}
    assert {"Radiology", "Nursing/other"} <= set(notes["category"])


def test_the_carevue_release_is_the_clean_part_of_the_whole(table, truth) -> None:
    clean = truth("subjects").filter("is_clean")["subject_id"].cast(pl.String)
    for name in ("icustays", "chartevents", "labevents"):
        whole, part = table(name), table(name, "mimic-iii-carevue")
        assert part.equals(whole.filter(pl.col("subject_id").is_in(clean.implode())))
    assert set(table("icustays", "mimic-iii-carevue")["dbsource"]) == {"carevue"}
    carevue = truth("subjects").filter(pl.col("system") == "carevue")
    assert set(carevue["kind"]) == {"new", "returned"}, "plain MIMIC-III filtered leaves no residual overlap"


def test_twins_are_the_same_patients_under_other_ids_and_dates(table, truth) -> None:
    twins = truth("subjects").filter(pl.col("kind") == "twin")
    assert len(twins) >= 5 and set(twins["system"]) == {"metavision"}
    assert twins["shift"].n_unique() > 1 and (twins["shift"].dt.total_days() != 0).all()
    admissions = truth("admissions").cast(pl.String)
    ours = table("diagnoses_icd").select("hadm_id", code="icd9_code").drop_nulls()
    theirs = table("hosp/diagnoses_icd", "mimic-iv").select(hadm="hadm_id", code="icd_code")
    num_codes = 0
    for twin in twins.iter_rows(named=True):
        known = theirs.join(admissions, on="hadm")
        stays = table("icustays").filter(pl.col("subject_id") == str(twin["subject_id"]))
        for hadm_id in stays["hadm_id"].unique():
            here = ours.filter(pl.col("hadm_id") == hadm_id)["code"].to_list()
            assert here == known.filter(pl.col("hadm_id") == hadm_id)["code"].to_list()
            num_codes += len(here)
    assert num_codes > 5 * len(twins)
    when = pl.col("charttime").str.to_datetime()
    heart = table("icu/chartevents", "mimic-iv").filter(pl.col("itemid") == "220045")
    heart = heart.select(subject=pl.col("subject_id").cast(pl.Int64), charttime=when, value="value")
    moved = heart.join(twins, on="subject").select("subject_id", pl.col("charttime") + pl.col("shift"), "value")
    charted = table("chartevents").filter(pl.col("itemid") == "220045", pl.col("error") == "0")
    there = charted.select(pl.col("subject_id").cast(pl.Int64), when, "value")
    there = there.filter(pl.col("subject_id").is_in(twins["subject_id"].implode()))
    order = ("subject_id", "charttime", "value")
    assert len(there) and there.sort(order).rows() == moved.sort(order).rows()
    assert not set(twins["subject"]) & set(twins["subject_id"])


def test_a_twin_has_the_same_discharge_summary(table, truth) -> None:
    admissions = truth("admissions").cast(pl.String)
    theirs = table("note/discharge", "mimic-iv-note").select(hadm="hadm_id", text="text")
    both = theirs.join(admissions, on="hadm").join(
        table("noteevents").filter(pl.col("category") == "Discharge summary"), on="hadm_id"
    )
    assert len(both)
    blanked = both["text_right"].str.replace_all("[**Known lastname 3941**]", "___", literal=True)
    assert blanked.equals(both["text"].alias("text_right"))
