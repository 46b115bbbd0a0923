"""The shared feature space: what three clinical systems chart under different ids, as one concept each.

`concepts.csv` is reviewed by hand: one row per concept, system and variable, with the unit, the range outside which a
number is no measurement, the rule that brings it to the unit, and the evidence for the row (the label in that system's
dictionary, how often it is read in the open slices, where a published definition lists it). What has no row is missing
in the shared space, never zero.

Left out on purpose: what is charted a second time beside the laboratory, because laboratory ids are shared by all
systems (CareVue's potassium 829 and 1535, sodium 837 and 1536, creatinine 791 and 1525, glucose 811 and 1529, and so
on; MetaVision's 223830, 220235); the calculated temperatures 677 and 679, which repeat 678 and 676; vasopressin 42273
and 42802, whose rate and amount are swapped; texts whose wording differs between systems.

Not here: how concepts are applied (`sql/records/ehr_shared_readings.sql`) or encoded (`series`).
"""

from pathlib import Path

import polars as pl

CONCEPTS_FILE = Path(__file__).with_name("concepts.csv")
SYSTEMS = ("carevue", "metavision", "mimic_iv")
RULES = {
    "": "the number as it is",
    "fahrenheit": "above 50 it is Fahrenheit, else Celsius",
    "fraction": "up to 1 it is a fraction, else percent",
    "pounds": "pounds",
    "inches": "up to 96 it is inches, else centimetres",
    "given": "1 where the number is above zero",
    "noted": "1 where something other than Other/Remarks was noted",
}
"""How a number gets the unit of its concept: by its size, because units as charted are not to be trusted."""
SCHEMA = {
    "concept": pl.String,
    "system": pl.String,
    "variable": pl.String,
    "unit": pl.String,
    "low": pl.Float64,
    "high": pl.Float64,
    "rule": pl.String,
    "evidence": pl.String,
}


def read_concepts(path: Path = CONCEPTS_FILE) -> pl.DataFrame:
    """Read the mapping: columns of contract ConceptItems, one row per concept, system and variable.

    Raises:
        ValueError: a rule or system is unknown, a range is empty, or two rows say different things about one concept's
            unit or range, or about how one variable becomes it.
    """
    rows = pl.read_csv(path, glob=False, schema=SCHEMA).with_columns(pl.col("rule").fill_null(""))
    for column, known in (("rule", set(RULES)), ("system", set(SYSTEMS))):
        if unknown := sorted(set(rows[column]) - known):
            raise ValueError(f"{path.name}: column {column} has {unknown}; choose from {sorted(known)}")
    _refuse(path, "low is above high", rows.filter(pl.col("low") > pl.col("high")))
    for key, said in ((["concept"], ["unit", "low", "high"]), (["concept", "variable"], ["rule"])):
        distinct = rows.select(*key, *said).unique()
        _refuse(path, f"two rows of one {' and '.join(key)} differ in {said}", distinct.filter(_repeated(key)))
    key = ["concept", "system", "variable"]
    _refuse(path, f"{key} repeats", rows.filter(_repeated(key)))
    return rows.sort(key)


def _repeated(key: list[str]) -> pl.Expr:
    return pl.struct(key).is_duplicated()


def _refuse(path: Path, what: str, rows: pl.DataFrame) -> None:
    if not rows.is_empty():
        raise ValueError(f"{path.name}: {what} in {rows.height} rows, first {rows.row(0)}; correct the file")
