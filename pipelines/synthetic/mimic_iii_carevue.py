"""What CareVue wrote into MIMIC-III: the same events in its own items, words, units and habits.

Its habits make CareVue hard to read: no ERROR at all, labs charted a second time, inspired oxygen now as a fraction and
now as a percentage, ventilation as words in the chart, infusions as hourly rows that hold either a rate or an amount,
pressors set up at rate 0 before they run.
"""

import polars as pl

from pipelines.synthetic import mimic_iii_items as items
from pipelines.synthetic.mimic_iv_events import VASOPRESSIN

RUNNING, ENDED = "NotStopd", "D/C'd"
RAN = pl.col("statusdescription") != "Rewritten"
# Stays take turns in some habits: the remainder of icustay_id.
STAY = pl.col("icustay_id")
IDS = ("subject_id", "hadm_id", "icustay_id")
CHART = (*IDS, "itemid", "charttime", "storetime", "cgid", "value", "valuenum", "valueuom", "resultstatus", "stopped")
HOURS = pl.duration(hours=1)


def tables(named: dict[str, pl.DataFrame], labs: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Render the CareVue rows of the event tables, without row_id.

    Args:
        named: MIMIC-IV's event tables of CareVue stays under MIMIC-III's ids and dates.
        labs: labevents of everybody.
    """
    stays = named["icustays"].filter(pl.col("dbsource") != "metavision")
    charted = [
        _numbers(named["chartevents"]),
        _words(named["chartevents"]),
        _settings(named["chartevents"]),
        _ventilation(named["procedureevents"].filter(RAN)),
        _devices(stays),
        _repeated_labs(labs, stays),
    ]
    nothing = {"warning": pl.lit(None, pl.Int64), "error": pl.lit(None, pl.Int64)}
    chart = _before_switch(pl.concat(charted, how="vertical_relaxed"), stays).with_columns(**nothing)
    return {
        "chartevents": chart.sort("subject_id", "icustay_id", "charttime", "itemid", maintain_order=True),
        "inputevents_cv": _inputs(named["inputevents"].filter(RAN), stays),
        "outputevents": _outputs(named["outputevents"]),
        "datetimeevents": _dates(named["datetimeevents"]),
    }


def _before_switch(rows: pl.DataFrame, stays: pl.DataFrame) -> pl.DataFrame:
    """Leave out what a stay of both systems got after MetaVision took over."""
    rows = rows.join(stays.select("icustay_id", "switch"), on="icustay_id", maintain_order="left")
    return rows.filter(pl.col("charttime") < pl.col("switch")).drop("switch")


def _chart(rows: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """Fill in a charted row's usual columns: read by the caregiver, running, no status."""
    rows = rows.with_columns(
        cgid=pl.col("caregiver_id"), resultstatus=pl.lit(None, pl.String), stopped=pl.lit(RUNNING)
    ).with_columns(**columns)
    return rows.select(CHART)


def _as_charted(number: pl.Expr) -> dict[str, pl.Expr]:
    """A number as CareVue exports it, with single precision's digits: 99.6 is 99.59999847412109."""
    single = number.cast(pl.Float64).cast(pl.Float32).cast(pl.Float64)
    return {"value": single.cast(pl.String).str.replace(r"\.0$", ""), "valuenum": single}


def _numbers(chart: pl.DataFrame) -> pl.DataFrame:
    """Vitals in CareVue's items, calculated temperatures beside them, and a last row without value."""
    known = pl.DataFrame(
        [(old, new, unit) for old, (new, unit) in items.NUMBERS.items()],
        schema=["itemid", "item", "unit"],
        orient="row",
    )
    rows = _chart(
        chart.join(known, on="itemid", maintain_order="left"),
        itemid=pl.col("item"), valueuom=pl.col("unit"), **_as_charted(pl.col("valuenum")),
    )  # fmt: skip
    fahrenheit = pl.col("itemid") == 678
    number = pl.when(fahrenheit).then((pl.col("valuenum") - 32) / 1.8).otherwise(pl.col("valuenum") * 1.8 + 32)
    calculated = rows.filter(pl.col("itemid").is_in(list(items.CALCULATED))).with_columns(
        itemid=pl.col("itemid").replace_strict(items.CALCULATED, default=None),
        valueuom=pl.when(fahrenheit).then(pl.lit("Deg. C")).otherwise(pl.lit("Deg. F")),
        **_as_charted(number),
    )
    last = rows.filter(pl.col("itemid") == 211).group_by(IDS, maintain_order=True).last().with_columns(
        charttime=pl.col("charttime") + HOURS, value=pl.lit(None, pl.String), valuenum=pl.lit(None, pl.Float64),
        valueuom=pl.lit(None, pl.String), stopped=pl.lit(ENDED),
    )  # fmt: skip
    return pl.concat([rows, calculated.select(CHART), last.select(CHART)])


def _words(chart: pl.DataFrame) -> pl.DataFrame:
    """Consciousness with its score before the word, and the heart's rhythm."""
    scored = chart.filter(pl.col("itemid").is_in(list(items.WORDS)))
    rhythm = chart.filter(pl.col("itemid") == 220048)
    none = pl.lit(None, pl.String)
    return pl.concat(
        [
            _chart(
                scored,
                itemid=pl.col("itemid").replace_strict(items.WORDS, default=None),
                value=pl.format("{} {}", pl.col("valuenum").cast(pl.Float64).cast(pl.Int64), pl.col("value")),
                valuenum=pl.col("valuenum").cast(pl.Float64),
                valueuom=none,
            ),
            _chart(
                rhythm,
                itemid=pl.lit(items.HEART_RHYTHM, pl.Int64),
                value=pl.col("value").replace_strict(items.RHYTHMS, default=None),
                valuenum=pl.lit(None, pl.Float64),
                valueuom=none,
            ),
        ]
    )


def _settings(chart: pl.DataFrame) -> pl.DataFrame:
    """PEEP in either of two items, oxygen as a fraction labelled torr or as a percentage, height in inches."""
    number = pl.col("valuenum").cast(pl.Float64)
    peep, oxygen, height = (chart.filter(pl.col("itemid") == item) for item in (220339, 223835, 226730))
    percent = STAY % 3 == 0
    return pl.concat(
        [
            _chart(
                peep,
                itemid=pl.when(STAY % 4 == 1).then(items.PEEP).otherwise(items.PEEP_SET).cast(pl.Int64),
                valueuom=pl.lit("cmH2O"),
                **_as_charted(number),
            ),
            _chart(
                oxygen,
                itemid=pl.when(percent).then(items.FIO2_PERCENT).otherwise(items.FIO2_FRACTION).cast(pl.Int64),
                valueuom=pl.when(~percent).then(pl.lit("torr")),
                **_as_charted(pl.when(percent).then(number).otherwise(number / 100)),
            ),
            _chart(
                height,
                itemid=pl.lit(items.HEIGHT_INCHES, pl.Int64),
                valueuom=pl.lit("inches"),
                stopped=pl.lit(None, pl.String),
                **_as_charted((number / 2.54).round(1)),
            ),
        ]
    )


def _ventilation(procedures: pl.DataFrame) -> pl.DataFrame:
    """Ventilation as it is charted: modes every four hours from the first on, or a mask and its two pressures."""
    turns = pl.int_ranges(0, (pl.col("endtime") - pl.col("starttime")).dt.total_hours() // 4 + 1)
    rows = procedures.filter(pl.col("itemid").is_in([225792, 225794])).with_columns(turn=turns)
    rows = rows.explode("turn").with_columns(charttime=pl.col("starttime") + pl.duration(hours=4 * pl.col("turn")))
    rows = rows.with_columns(storetime=pl.col("charttime") + pl.duration(minutes=20))
    invasive, mask = (rows.filter(pl.col("itemid") == item) for item in (225792, 225794))
    modes = dict(enumerate(items.VENTILATOR_MODES))
    mode = ((STAY + pl.col("turn")) % len(modes)).replace_strict(modes, default=None)
    return pl.concat(
        [
            _said(invasive, items.VENTILATOR_MODE, mode),
            _said(invasive, items.VENTILATOR_TYPE, pl.lit("Drager")),
            _said(invasive.filter(STAY % 3 == 0), items.OXYGEN_DEVICE, pl.lit("Ventilator")),
            _said(mask.filter(STAY % 4 == 0), items.BIPAP_MODE, pl.lit("CPAP")),
            _said(
                mask,
                items.OXYGEN_DEVICE,
                pl.when(STAY % 2 == 0).then(pl.lit("Bipap Mask  ")).otherwise(pl.lit("CPAP Mask")),
            ),
            _chart(
                mask.filter(STAY % 2 == 0),
                itemid=pl.lit(items.BIPAP_IPAP, pl.Int64), valueuom=pl.lit("cmH2O"), **_as_charted(pl.lit(12)),
            ),
            _chart(
                mask.filter(STAY % 2 == 0),
                itemid=pl.lit(items.BIPAP_EPAP, pl.Int64), valueuom=pl.lit("cmH2O"), **_as_charted(pl.lit(5)),
            ),
        ]
    )  # fmt: skip


def _said(rows: pl.DataFrame, item: int, word: pl.Expr) -> pl.DataFrame:
    empty = {"valuenum": pl.lit(None, pl.Float64), "valueuom": pl.lit(None, pl.String)}
    return _chart(rows, itemid=pl.lit(item, pl.Int64), value=word, **empty)


def _devices(stays: pl.DataFrame) -> pl.DataFrame:
    """What is no ventilation but stands in the same items: a nasal cannula, and remarks on the ventilator's mode."""
    rows = stays.with_columns(
        charttime=pl.col("intime").dt.truncate("1h") + HOURS, caregiver_id=pl.lit(17_000)
    ).with_columns(storetime=pl.col("charttime") + pl.duration(minutes=30))
    remarks = rows.filter(STAY % 5 == 0)
    return pl.concat(
        [
            _said(rows, items.OXYGEN_DEVICE, pl.lit("Nasal Cannula")),
            _said(remarks, items.VENTILATOR_MODE, pl.lit("Other/Remarks")),
        ]
    )


def _repeated_labs(labs: pl.DataFrame, stays: pl.DataFrame) -> pl.DataFrame:
    """Labs drawn in a stay once more in the chart, under one or two items."""
    pairs = [(lab, copy) for lab, copies in items.LAB_COPIES.items() for copy in copies]
    known = pl.DataFrame(pairs, schema=["itemid", "copy"], orient="row")
    inside = labs.join(known, on="itemid", maintain_order="left").join(
        stays.select("subject_id", "hadm_id", "icustay_id", "intime", "outtime"), on=["subject_id", "hadm_id"],
        maintain_order="left",
    )  # fmt: skip
    inside = inside.filter(pl.col("charttime").is_between("intime", "outtime"))
    return _chart(
        inside.with_columns(caregiver_id=pl.lit(15_331)),
        itemid=pl.col("copy"),
        storetime=pl.col("charttime") + pl.duration(minutes=50),
        valueuom=pl.lit(None, pl.String),
        resultstatus=pl.lit("Final"),
        **_as_charted(pl.col("valuenum")),
    )


def _inputs(inputs: pl.DataFrame, stays: pl.DataFrame) -> pl.DataFrame:
    """Infusions as hourly rows with a rate or an amount, never both."""
    hours = (pl.col("endtime") - pl.col("starttime")).dt.total_hours().clip(1)
    hourly = inputs.with_columns(hours=hours, turn=pl.int_ranges(0, hours)).explode("turn")
    hourly = hourly.with_columns(
        charttime=pl.col("starttime") + pl.duration(hours="turn"), portion=pl.col("amount") / pl.col("hours")
    )
    pressors = [_pressors(hourly), _before_pressors(inputs), _lone_zeros(stays, inputs)]
    rows = pl.concat([*pressors, _fluids(hourly), _propofol(hourly)], how="diagonal_relaxed")
    rows = (
        _before_switch(_swap(rows), stays)
        .sort("subject_id", "icustay_id", "charttime", "itemid", maintain_order=True)
        .with_columns(orderid=pl.int_range(pl.len()) + 2_000_000)
    )
    return rows.with_columns(
        storetime=pl.col("charttime") + pl.duration(minutes=pl.col("orderid") % 40),
        cgid="caregiver_id",
        linkorderid=pl.col("orderid").first().over("icustay_id", "itemid"),
        newbottle=pl.when(pl.int_range(pl.len()).over("icustay_id", "itemid") == 0).then(1),
        originalamount=pl.when(pl.col("amount") > 0).then(250.0),
        originalamountuom=pl.when(pl.col("amount").is_not_null()).then("amountuom"),
        originalroute=pl.when(pl.col("rate").is_null()).then(pl.lit("Intravenous Push")).otherwise(pl.lit("IV Drip")),
        originalrate=pl.lit(None, pl.Float64),
        originalrateuom=pl.lit(None, pl.String),
        originalsite=pl.lit(None, pl.String),
    )


def _swap(rows: pl.DataFrame) -> pl.DataFrame:
    """Put the rate where the amount belongs, and the amount where the rate does, in the item charted by hand."""
    pairs = {"rate": "amount", "amount": "rate", "rateuom": "amountuom", "amountuom": "rateuom"}
    swapped = pl.col("itemid") == items.SWAPPED
    return rows.with_columns(pl.when(swapped).then(other).otherwise(own).alias(own) for own, other in pairs.items())


def _pressor_items(rows: pl.DataFrame) -> pl.DataFrame:
    """Pressor rows in CareVue's items: those per kilogram for two of three stays."""
    known = pl.DataFrame(
        [(old, *new) for old, new in items.PRESSORS.items()],
        schema=["itemid", "plain", "weighed", "amount_unit"],
        orient="row",
    )
    weighed, vasopressin = STAY % 3 > 0, pl.col("itemid") == VASOPRESSIN
    unit = pl.when(weighed).then(pl.lit("mcgkgmin")).otherwise(pl.lit("mcgmin"))
    per_minute = pl.when(weighed).then("rate").otherwise((pl.col("rate") * 80).round(2))
    return rows.join(known, on="itemid", maintain_order="left").with_columns(
        rateuom=pl.when(vasopressin).then(pl.lit("Umin")).otherwise(unit),
        rate=pl.when(vasopressin).then((pl.col("rate") / 60).round(4)).otherwise(per_minute),
        itemid=pl.when(weighed).then("weighed").otherwise("plain"),
    )


def _pressors(hourly: pl.DataFrame) -> pl.DataFrame:
    """Every hour a row with the rate, and one with the amount; in some stays the first hour has its amount alone."""
    rows = _pressor_items(hourly)
    amount_alone = STAY % 4 == 1
    first = pl.col("charttime") == pl.col("charttime").min().over("icustay_id")
    rates = rows.filter(~(amount_alone & first)).with_columns(
        amount=pl.lit(None, pl.Float64), amountuom=pl.lit(None, pl.String)
    )
    amounts = rows.with_columns(
        charttime=pl.when(amount_alone).then("charttime").otherwise(pl.col("charttime") + HOURS),
        amount=pl.col("portion"), amountuom="amount_unit", rate=pl.lit(None, pl.Float64),
        rateuom=pl.lit(None, pl.String),
    )  # fmt: skip
    ended = rates.group_by("icustay_id", "itemid", maintain_order=True).last().with_columns(
        charttime=pl.col("charttime") + pl.duration(hours=2), rate=pl.lit(0.0), stopped=pl.lit(ENDED)
    )  # fmt: skip
    return pl.concat([rates, amounts, ended], how="diagonal_relaxed").select(_INPUT)


def _before_pressors(inputs: pl.DataFrame) -> pl.DataFrame:
    """The pump set up before it runs: rate 0 in a third of the stays, no number at all in another."""
    first = _pressor_items(inputs).group_by("icustay_id", maintain_order=True).first()
    turn = STAY % 3
    rows = first.filter(turn < 2).with_columns(
        charttime=pl.col("starttime") - pl.duration(minutes=45),
        amount=pl.lit(None, pl.Float64), amountuom=pl.lit(None, pl.String),
        rate=pl.when(turn == 0).then(0.0), rateuom=pl.when(turn == 0).then("rateuom"),
        stopped=pl.lit(None, pl.String),
    )  # fmt: skip
    return rows.select(_INPUT)


def _lone_zeros(stays: pl.DataFrame, inputs: pl.DataFrame) -> pl.DataFrame:
    """A pressor that was set up and never ran, in some stays without any."""
    with_pressor = inputs.filter(pl.col("itemid").is_in(list(items.PRESSORS)))["icustay_id"].unique()
    rows = stays.filter(~STAY.is_in(with_pressor.implode()) & (STAY % 13 == 1)).with_columns(
        caregiver_id=pl.lit(16_870), charttime=pl.col("intime").dt.truncate("1h") + pl.duration(hours=50),
        itemid=pl.lit(items.PRESSORS[221906][1], pl.Int64), amount=pl.lit(None, pl.Float64),
        amountuom=pl.lit(None, pl.String), rate=pl.lit(0.0), rateuom=pl.lit("mcgkgmin"),
        stopped=pl.lit(None, pl.String),
    )  # fmt: skip
    return rows.select(_INPUT)


def _fluids(hourly: pl.DataFrame) -> pl.DataFrame:
    rows = hourly.filter(pl.col("itemid").is_in(list(items.FLUIDS))).with_columns(
        itemid=pl.col("itemid").replace_strict(items.FLUIDS, default=None),
        amount=pl.col("portion").round(2), amountuom=pl.lit("ml"), rate=pl.lit(None, pl.Float64),
        rateuom=pl.lit(None, pl.String), stopped=pl.lit(None, pl.String),
    )  # fmt: skip
    return rows.select(_INPUT)


def _propofol(hourly: pl.DataFrame) -> pl.DataFrame:
    old, new = items.PROPOFOL
    rows = hourly.filter(pl.col("itemid") == old).with_columns(
        itemid=pl.lit(new, pl.Int64), amount=pl.lit(None, pl.Float64), amountuom=pl.lit(None, pl.String),
        rateuom=pl.lit("mcgkgmin"), stopped=pl.lit(None, pl.String),
    )  # fmt: skip
    return rows.select(_INPUT)


_INPUT = (*IDS, "charttime", "itemid", "amount", "amountuom", "rate", "rateuom", "caregiver_id", "stopped")


def _outputs(rows: pl.DataFrame) -> pl.DataFrame:
    item = pl.col("itemid").replace_strict(items.URINE, default=None)
    return rows.with_columns(
        itemid=pl.when((STAY % 3 == 0) & (item == 40_055)).then(items.URINE_TOO).otherwise(item).cast(pl.Int64),
        value=pl.col("value").cast(pl.Float64), valueuom=pl.lit("ml"), cgid="caregiver_id",
        stopped=pl.lit(None, pl.String), newbottle=pl.lit(None, pl.String), iserror=pl.lit(None, pl.Int64),
    )  # fmt: skip


def _dates(rows: pl.DataFrame) -> pl.DataFrame:
    nothing = {"warning": pl.lit(None, pl.Int64), "error": pl.lit(None, pl.Int64)}
    return rows.with_columns(
        itemid=pl.col("itemid").replace_strict(items.DATES, default=None), cgid="caregiver_id",
        resultstatus=pl.lit(None, pl.String), stopped=pl.lit(RUNNING), **nothing,
    )  # fmt: skip
