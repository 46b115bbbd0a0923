"""What MetaVision wrote into MIMIC-III: MIMIC-IV's events in MIMIC-III's columns, with the rows it had in error."""

import polars as pl

ERROR_EVERY = 499


def tables(named: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Render the MetaVision rows of the event tables, without row_id.

    Args:
        named: MIMIC-IV's event tables of MetaVision stays under MIMIC-III's ids and dates.
    """
    nothing = {name: pl.lit(None, pl.String) for name in ("comments_editedby", "comments_canceledby", "comments_date")}
    stopped = {name: pl.lit(None, pl.String) for name in ("resultstatus", "stopped")}
    who = pl.col("caregiver_id").alias("cgid")
    rewritten = pl.col("statusdescription") == "Rewritten"
    orders = {"cancelreason": pl.when(rewritten).then(2).otherwise(0), **nothing}
    outputs = named["outputevents"].with_columns(who)
    wrong = pl.int_range(pl.len()) % ERROR_EVERY == 11
    return {
        "chartevents": _charted(named["chartevents"]).with_columns(who, **stopped),
        "inputevents_mv": named["inputevents"].with_columns(who, **orders),
        "procedureevents_mv": named["procedureevents"].with_columns(
            who, secondaryordercategoryname=pl.lit(None, pl.String), **orders
        ),
        "outputevents": outputs.with_columns(
            value=pl.when(wrong).then(pl.col("value") * 10).otherwise("value").cast(pl.Float64),
            valueuom=pl.lit("mL"),
            stopped=pl.lit(None, pl.String),
            newbottle=pl.lit(None, pl.String),
            iserror=pl.when(wrong).then(1),
        ),
        "datetimeevents": named["datetimeevents"].with_columns(who, error=pl.lit(0), **stopped),
    }


def _charted(rows: pl.DataFrame) -> pl.DataFrame:
    """Charted rows with ERROR 0 and WARNING 0 or 1; every few hundred have a copy in error with another number.

    The degree sign of Fahrenheit and Celsius did not survive the export.
    """
    rows = rows.with_columns(
        valuenum=pl.col("valuenum").cast(pl.Float64),
        valueuom=pl.col("valueuom").str.replace("°", "?"),
        warning=pl.col("warning").fill_null(0),
        error=pl.lit(0),
    )
    numbers = rows.filter(pl.col("valuenum").is_not_null()).gather_every(ERROR_EVERY)
    wrong = numbers.with_columns(value=pl.lit("999"), valuenum=pl.lit(999.0), error=pl.lit(1))
    return pl.concat([rows, wrong]).sort("subject_id", "charttime", "itemid", maintain_order=True)
