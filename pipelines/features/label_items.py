"""What the labels are read from: items and codes of each clinical system, reviewed by hand, each with its evidence.

`label_items.csv` has one row per label, concept, clinical system and item (or ICD code). Left out on purpose: PEEP
60, 437, 686 and 224700 (measured or total, not set); dobutamine and milrinone (they raise output, not pressure).

Not here: how onsets become labels (`sql/labels/`), or which task uses which label (`tasks`).
"""

from pathlib import Path

import polars as pl

LABEL_ITEMS_FILE = Path(__file__).with_name("label_items.csv")
RULES = {
    "number": "a number was charted",
    "noted": "something other than Other/Remarks was noted",
    "word": "exactly this was noted, blanks around it aside",
    "started": "an order began that was not rewritten",
    "given": "the rate is above zero, or there is no rate and the amount is above zero",
    "given_swapped": "the same with rate and amount in each other's column",
    "icd9": "billed as this ICD-9-CM code",
    "icd10": "billed as this ICD-10-CM code",
}
"""When a row of an item counts."""
TABLES = {
    "number": {"chartevents", "labevents"},
    "noted": {"chartevents"},
    "word": {"chartevents"},
    "started": {"inputevents", "procedureevents"},
    "given": {"inputevents_cv"},
    "given_swapped": {"inputevents_cv"},
    "icd9": {"diagnoses_icd"},
    "icd10": {"diagnoses_icd"},
}
COLUMNS = ("label", "concept", "system", "table_name", "code", "rule", "word", "evidence")
KEY = ("label", "concept", "system", "table_name", "code", "word")


def read_label_items(path: Path = LABEL_ITEMS_FILE) -> pl.DataFrame:
    """Read the items: columns of contract LabelItems, one row per label, concept, system, table, code and word.

    Raises:
        ValueError: a rule is unknown or not one of its table, an item is no number, a word is missing or superfluous,
            the evidence is missing, an item has two rules for one label, or a row repeats.
    """
    rows = pl.read_csv(path, glob=False, schema=dict.fromkeys(COLUMNS, pl.String)).with_columns(
        pl.col("word").fill_null("")
    )
    if unknown := sorted(set(rows["rule"]) - set(RULES)):
        raise ValueError(f"{path.name}: column rule has {unknown}; choose from {sorted(RULES)}")
    fits = pl.any_horizontal(
        (pl.col("rule") == rule) & pl.col("table_name").is_in(sorted(tables)) for rule, tables in TABLES.items()
    )
    is_item = pl.col("table_name") != "diagnoses_icd"
    _refuse(path, "the rule does not fit the table", rows.filter(~fits))
    _refuse(path, "the itemid is no number", rows.filter(is_item & ~pl.col("code").str.contains(r"^\d+$")))
    _refuse(
        path, "a word belongs to the rule word alone", rows.filter((pl.col("rule") == "word") != (pl.col("word") != ""))
    )
    _refuse(path, "the evidence is missing", rows.filter(pl.col("evidence").fill_null("").str.strip_chars() == ""))
    one_rule = rows.select("label", "table_name", "code", "rule").unique()
    _refuse(path, "one item has two rules", one_rule.filter(pl.struct("label", "table_name", "code").is_duplicated()))
    _refuse(path, f"{KEY} repeats", rows.filter(pl.struct(KEY).is_duplicated()))
    return rows.sort(KEY)


def _refuse(path: Path, what: str, rows: pl.DataFrame) -> None:
    if not rows.is_empty():
        raise ValueError(f"{path.name}: {what} in {rows.height} rows, first {rows.row(0)}; correct the file")
