"""How far encoded demographics give away which database a record is from: a classifier that tries.

A model that is trained on MIMIC-IV and evaluated on MIMIC-III should not meet a vector that merely names the database.
Not here: the encoding (`demographics`).
"""

import numpy as np
import polars as pl

from data_contracts.features import DemographicsShift
from pipelines.features.demographics import encode_demographics

ADULT_YEARS = 18
NUM_FOLDS = 5
NUM_COLUMNS_SHOWN = 3


def demographics_shift(demographics: pl.DataFrame) -> pl.DataFrame:
    """Try to tell each database from MIMIC-IV by the encoded demographics of adults (MIMIC-IV holds no children).

    Args:
        demographics: rows of contract EhrDemographics and their `database`.

    Returns:
        Rows of contract DemographicsShift, without a database that has fewer than two adults. Numbers are rounded to
        six decimals: what lies beyond differs between builds of the linear algebra.
    """
    adults = demographics.filter(pl.col("age_years").is_null() | (pl.col("age_years") >= ADULT_YEARS))
    adults = adults.with_columns(pl.col("database").cast(pl.String)).sort("hadm_id")
    others = sorted(set(adults["database"]) - {"mimic_iv"})
    shifts = [_shift(adults.filter(pl.col("database").is_in(["mimic_iv", name])), name) for name in others]
    return pl.concat([_no_shift(), *shifts])


def _shift(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    is_other = (rows["database"] == name).to_numpy()
    subjects = rows["subject_id"].to_numpy()
    num_folds = min(NUM_FOLDS, *(len(np.unique(subjects[chosen])) for chosen in (is_other, ~is_other)))
    if num_folds < 2:
        return _no_shift()
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    names, values = encode_demographics(rows)
    spread = values.std(axis=0, dtype=np.float64)
    scaled = (values - values.mean(axis=0, dtype=np.float64)) / np.where(spread > 0, spread, 1.0)
    model = LogisticRegression(C=1.0, max_iter=1000)
    folds = StratifiedGroupKFold(num_folds)
    scores = cross_val_predict(model, scaled, is_other, groups=subjects, cv=folds, method="decision_function")
    weights = model.fit(scaled, is_other).coef_[0].round(6)
    order = np.lexsort((np.arange(len(names)), -np.abs(weights)))[:NUM_COLUMNS_SHOWN]
    return _no_shift().vstack(
        pl.DataFrame(
            {
                "database": name,
                "rank": range(1, len(order) + 1),
                "encoded_column": [names[place] for place in order],
                "weight": weights[order],
                "mean": values[is_other][:, order].mean(axis=0, dtype=np.float64).round(6),
                "mimic_iv_mean": values[~is_other][:, order].mean(axis=0, dtype=np.float64).round(6),
                "auroc": round(float(roc_auc_score(is_other, scores.round(6))), 6),
                "num_folds": num_folds,
                "num_records": int(is_other.sum()),
                "num_mimic_iv_records": int((~is_other).sum()),
            },
            schema=_no_shift().schema,
        )
    )


def _no_shift() -> pl.DataFrame:
    return DemographicsShift.create_empty().with_columns(pl.col("database").cast(pl.String))
