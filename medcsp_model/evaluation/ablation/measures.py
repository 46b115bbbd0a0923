"""Numbers of a trained model as functions of one value a row and of how often each row was drawn.

A row is a query or a film. A mean over queries and an area under a curve thus have one form, so that seeds and subjects
of both are drawn together.

Letters: N rows, B draws.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Values = dict[str, tuple[Floats, Ints]]
"""By name, the value of each row (NaN where it has none) and its subject."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number of a trained model.

    Attributes:
        rows: name of the values that it is made of.
        place: columns of `metrics` that say which number it is: cohort, mode, metric, k, split.
        of: (value_N, weight_NB) -> number_B, one number for each column of weights; NaN where there is none.
        references: the number of what looks at nothing, by the name of `method`.
        num_positive: rows of the positive class; None where there are no classes.
    """

    rows: str
    place: Mapping[str, Any]
    of: Callable[[Floats, Floats], Floats]
    references: Mapping[str, float]
    num_positive: int | None = None


def mean(value_N: Floats, weight_NB: Floats) -> Floats:
    """Mean over the rows of each draw."""
    mean_B: Floats = (value_N @ weight_NB) / weight_NB.sum(axis=0)
    return mean_B
