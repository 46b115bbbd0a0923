"""Numbers that follow the patient: the course of vitals and labs under severities and signature.

Not here: which table a number goes to, and its other columns (`mimic_iv`).
"""

import numpy as np
import polars as pl

from pipelines.synthetic.conditions import CONDITIONS, SIGNATURE
from pipelines.synthetic.measurements import Reading


def values_of(reading: Reading, severity: np.ndarray, signature: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw one item's values.

    Args:
        reading: the item.
        severity: float64 (k, 10), at each value's time.
        signature: float64 (6,) of the subject, or (k, 6).
        random: draws the spread between readings.

    Returns:
        float64 (k,), rounded and within the item's limits.
    """
    value = reading.middle + reading.spread * random.standard_normal(len(severity))
    for name, effect in reading.effects.items():
        driver = severity[:, CONDITIONS.index(name)] if name in CONDITIONS else signature[..., SIGNATURE.index(name)]
        value = value + effect * driver
    return np.round(np.clip(value, reading.low, reading.high), reading.decimals)


def as_text(value: pl.Expr) -> pl.Expr:
    """Write numbers as the releases do: 98, 98.6; never 98.0."""
    return value.cast(pl.String).str.replace(r"\.0+$", "")
