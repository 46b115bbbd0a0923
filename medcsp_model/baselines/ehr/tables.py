"""The simple references: logistic regression and boosted trees on a table of numbers per example.

The table holds, of the example's own stay, each feature's mean, lowest, highest and last hourly value and the share of
hours in which it was not zero; then demographics, and where the task has them diagnoses and drugs. Texts are left out.
scikit-learn is imported where it is used: a node that trains networks alone needs none.
"""

import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from medcsp_model.evaluation.prediction import Fitted, Method, Point
from medcsp_model.evaluation.task_data import Part, TaskBatch, TaskData
from medcsp_model.settings.sweep import SweepSettings

_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class TableMethod(Method):
    """A method on one row of numbers per example."""

    reads: ClassVar[tuple[str, ...]] = ("series", "demographics", "diagnosis", "drug")

    @abstractmethod
    def estimate(self, table: np.ndarray, data: TaskData, part: Part, *, point: Point, seed: int) -> Any:
        """A fitted estimator with scikit-learn's `predict_proba`."""

    def features(self, data: TaskData) -> np.ndarray:
        """The table, float32 (N, columns)."""
        count = len(data.label_N)
        rows = [np.arange(first, min(first + _AT_ONCE, count)) for first in range(0, count, _AT_ONCE)]
        return np.concatenate([summarise(data.batch(part, self.reads)) for part in rows])

    def fit(
        self,
        data: TaskData,
        part: Part,
        *,
        point: Point,
        seed: int,
        settings: SweepSettings,
        pretrained: Mapping[str, Tensor],
    ) -> Fitted:
        """Fit on the training rows; the table is made once for all trials."""
        start = time.perf_counter()
        key = (type(self).__name__, getattr(self, "checkpoint", ""))
        if key not in data.kept:
            data.kept[key] = self.features(data)
        table = data.kept[key]
        seconds_of_data = time.perf_counter() - start
        estimator = self.estimate(table, data, part, point=point, seed=seed)
        validation, test = (estimator.predict_proba(table[rows])[:, 1] for rows in (part.validation, part.test))
        seconds = {"seconds": time.perf_counter() - start, "seconds_of_data": seconds_of_data}
        return Fitted(validation, test, {key: round(value, 3) for key, value in seconds.items()})


def summarise(batch: TaskBatch) -> np.ndarray:
    """Rows of the table, float32 (B, columns)."""
    x_BTF = batch.series_BTF
    columns = [
        x_BTF.mean(dim=1),
        x_BTF.amin(dim=1),
        x_BTF.amax(dim=1),
        x_BTF[:, -1],
        (x_BTF != 0).float().mean(dim=1),
        batch.demographics_BE,
        batch.diagnosis_BC,
        batch.drug_BG,
    ]
    return np.concatenate([column.cpu().numpy() for column in columns], axis=1)


@dataclass(frozen=True, kw_only=True)
class LinearTable(TableMethod):
    """Logistic regression on standardised columns.

    Attributes:
        strengths: inverse strengths of the penalty, among which validation chooses.
    """

    name: str = "Logistic regression"
    strengths: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)

    def grid(self, settings: SweepSettings) -> list[Point]:
        """One point per strength."""
        return [{"strength": strength} for strength in self.strengths]

    def estimate(self, table: np.ndarray, data: TaskData, part: Part, *, point: Point, seed: int) -> Any:
        """Standardise on the training rows and fit."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        regression = LogisticRegression(C=point["strength"], max_iter=2000, random_state=seed)
        return make_pipeline(StandardScaler(), regression).fit(table[part.train], data.label_N[part.train])


@dataclass(frozen=True, kw_only=True)
class BoostedTrees(TableMethod):
    """Gradient-boosted trees by histograms, stopped early on validation.

    Attributes:
        learning_rates, leaves: the grid.
        max_trees: most trees.
        patience: trees without a better validation loss.
        min_leaf: fewest examples of a leaf.
    """

    name: str = "Boosted trees"
    learning_rates: tuple[float, ...] = (0.03, 0.1)
    leaves: tuple[int, ...] = (7, 31)
    max_trees: int = 300
    patience: int = 20
    min_leaf: int = 20

    def grid(self, settings: SweepSettings) -> list[Point]:
        """Every rate with every number of leaves."""
        return [{"rate": rate, "leaves": leaves} for rate, leaves in product(self.learning_rates, self.leaves)]

    def estimate(self, table: np.ndarray, data: TaskData, part: Part, *, point: Point, seed: int) -> Any:
        """Boost until validation is not better; columns are drawn by the seed."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        trees = HistGradientBoostingClassifier(
            learning_rate=point["rate"],
            max_leaf_nodes=int(point["leaves"]),
            max_iter=self.max_trees,
            min_samples_leaf=self.min_leaf,
            max_features=0.5,
            early_stopping=True,
            n_iter_no_change=self.patience,
            random_state=seed,
        )
        held = {"X_val": table[part.validation], "y_val": data.label_N[part.validation]}
        return trees.fit(table[part.train], data.label_N[part.train], **held)
