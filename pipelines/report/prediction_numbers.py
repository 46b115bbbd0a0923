"""Numbers of the prediction tasks, looked up by what they are of, and their words: tasks, methods, horizons, cohorts.

What does not belong here: what is drawn of them (`prediction_figures`, `prediction_tables`), and any metric.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from data_contracts.labels import COHORT_NOTES
from lake import Lake
from pipelines.report.cohorts import BADGES
from pipelines.report.cohorts import TASKS as TASK_TITLES
from pipelines.report.content import Role
from pipelines.report.formats import release

METRICS, COMPARISONS, METHODS = "metrics", "prediction_comparisons", "prediction_methods"
PREFIX = "prediction_"
OURS, SCRATCH, PROBE, TREES, LOGISTIC = (
    *("medcsp", "medcsp_scratch", "medcsp_linear_probe", "gradient_boosting", "logistic_regression"),
)
METHOD_TITLES: Mapping[str, tuple[str, Role]] = {
    OURS: ("MedCSP", "ours"),
    SCRATCH: ("MedCSP from scratch", "own"),
    PROBE: ("MedCSP linear probe", "own"),
    "medhmp": ("MedHMP", "baseline"),
    "f_lstm": ("F-LSTM", "baseline"),
    "f_cnn": ("F-CNN", "baseline"),
    "raim": ("RAIM", "baseline"),
    "dcmn": ("DCMN", "baseline"),
    "bert_lstm": ("BertLstm", "baseline"),
    "bert_cnn": ("BertCnn", "baseline"),
    "bert_encoder": ("BertEncoder", "baseline"),
    "bert_star": ("BertStar", "baseline"),
    "lstm_bert": ("LstmBert", "baseline"),
    "cnn_bert": ("CnnBert", "baseline"),
    "encoder_bert": ("EncoderBert", "baseline"),
    "star_bert": ("StarBert", "baseline"),
    TREES: ("Boosted trees", "simple"),
    LOGISTIC: ("Logistic regression", "simple"),
}
"""What each method is called and how it is drawn, in the order in which methods stand."""
ALL_POSITIVE, CHANCE = "all_positive", "chance"
CRITICALITY = ("arf", "shock", "mortality", "aki")
AT_DISCHARGE = ("readmission", "readmission_any")
OF_BOTH = (OURS, SCRATCH, PROBE, "medhmp", TREES, LOGISTIC)
EXPECTED = {
    **dict.fromkeys(CRITICALITY, frozenset({*OF_BOTH, "f_lstm", "f_cnn", "raim", "dcmn"})),
    **dict.fromkeys(AT_DISCHARGE, frozenset({*OF_BOTH, *(name for name in METHOD_TITLES if "bert" in name)})),
}
"""Methods of the paper's figures and the simple references beside them, by task."""
HORIZONS = {"unbounded": "at any time", "within_48h": "within 48 h", "within_30d": "within 30 days"}
MEAN_OVER_SEEDS = -1
TEST, FOLDS = "test", "cross_validation"
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A mode, taken apart: horizon, feature space, whether ICD codes are read, whether another cohort trained."""

    name: str
    horizon: str
    space: str
    has_codes: bool
    is_transfer: bool

    @classmethod
    def of(cls, mode: str) -> "Mode":
        """`unbounded/shared` and the like."""
        horizon, *flags = mode.split("/")
        return cls(
            name=mode,
            horizon=horizon,
            space="shared" if "shared" in flags else "native",
            has_codes="without_codes" not in flags,
            is_transfer="transfer" in flags,
        )

    @property
    def words(self) -> str:
        """What it is, to be read."""
        words = [HORIZONS.get(self.horizon, self.horizon.replace("_", " "))]
        words += ["shared feature space"] * (self.space == "shared") + ["without ICD codes"] * (not self.has_codes)
        words += ["trained on MetaVision"] * self.is_transfer
        return ", ".join(words)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where tasks are evaluated: patients of one cohort, in one feature space."""

    dataset: str
    cohort: str
    space: str

    @property
    def words(self) -> str:
        """What it is, to be read."""
        return f"{self.cohort}, {release(self.dataset)}" + (", shared feature space" if self.space == "shared" else "")

    @property
    def badge(self) -> str:
        """What has to be said beside every number of it."""
        return BADGES.get(self.cohort, "")

    @property
    def note(self) -> str:
        """The same as a sentence."""
        return f"Cohort {self.cohort}: {COHORT_NOTES.get(self.cohort, 'a cohort of its own')}."


class Numbers:
    """Rows of `metrics` that are of prediction tasks; each row knows its `Mode`, and its task without the prefix.

    Args:
        rows: of `metrics`.
        methods: of `prediction_methods`, which say what could not be measured.
    """

    def __init__(self, rows: Iterable[Row], methods: Iterable[Row]) -> None:
        self.rows = [{**row, "task": row["task"].removeprefix(PREFIX), "mode": Mode.of(row["mode"])} for row in rows]
        self._of: dict[tuple[str, Place, Mode], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in self.rows:
            place = Place(dataset=row["dataset"], cohort=row["cohort"], space=row["mode"].space)
            self._of[row["task"], place, row["mode"]][row["metric"]].append(row)
        names = ("task", "dataset", "cohort", "mode", "method")
        self._refused = {tuple(row[name] for name in names) for row in methods if row["reason"] is not None}

    def places(self) -> list[Place]:
        """Where anything was measured, cohorts in the order of their contract's notes, transfers left out."""
        found = {place for _, place, mode in self._of if not mode.is_transfer}
        order = {name: index for index, name in enumerate(COHORT_NOTES)}
        return sorted(found, key=lambda place: (order.get(place.cohort, len(order)), place.space, place.dataset))

    def modes(self, place: Place, task: str) -> list[Mode]:
        """Modes of a task in a place, transfers left out: horizons in their order, with codes before without."""
        found = {mode for name, where, mode in self._of if (name, where) == (task, place) and not mode.is_transfer}
        order = {name: index for index, name in enumerate(HORIZONS)}
        return sorted(found, key=lambda mode: (order.get(mode.horizon, len(order)), mode.horizon, not mode.has_codes))

    def is_refused(self, place: Place, task: str, mode: Mode, method: str) -> bool:
        """Whether a method was asked for and could not be measured."""
        return (f"{PREFIX}{task}", place.dataset, place.cohort, mode.name, method) in self._refused

    def transfers(self) -> list[tuple[str, Place, Mode]]:
        """Task, place and mode of what was trained on another cohort."""
        found = [key for key in self._of if key[2].is_transfer]
        return sorted(found, key=lambda key: (key[0], key[1].cohort, key[2].horizon))

    def at(self, place: Place, task: str, mode: Mode, *metrics: str, **wanted: Any) -> list[Row]:
        """Rows of some metrics, or of all, that meet some conditions, each a value or a function of it.

        Unless one says otherwise these are means over seeds, of all positives, on the test part.
        """
        wanted = {"k": 0, "split": TEST, "seed": MEAN_OVER_SEEDS, **wanted}
        by_metric = self._of.get((task, place, mode), {})
        return [
            row
            for metric in metrics or by_metric
            for row in by_metric.get(metric, [])
            if all(_meets(row[name], value) for name, value in wanted.items())
        ]


def _meets(value: Any, wanted: Any) -> bool:
    return bool(wanted(value)) if callable(wanted) else value == wanted


def read_numbers(lake: Lake) -> Numbers:
    """Read what `metrics` holds of prediction tasks, and what could not be measured."""
    return Numbers(read_rows(lake, METRICS, pl.col("task").str.starts_with(PREFIX)), read_rows(lake, METHODS))


def read_rows(lake: Lake, table: str, *conditions: pl.Expr) -> list[dict[str, Any]]:
    """Rows of a table as plain values, by its key."""
    rows = lake.scan(table).filter(*conditions)
    names = [column for column, dtype in rows.collect_schema().items() if isinstance(dtype, pl.Enum)]
    return rows.with_columns(pl.col(names).cast(pl.String)).collect().to_dicts()


def is_one_training(seed: int) -> bool:
    """Whether a row is of one training, and not the mean over several."""
    return seed != MEAN_OVER_SEEDS


def in_order(methods: Iterable[str]) -> list[str]:
    """Methods in the order in which they stand, each once; what has no name is left out."""
    found = set(methods)
    return [name for name in METHOD_TITLES if name in found]


def title(method: str) -> str:
    """What a method is called."""
    return METHOD_TITLES[method][0] if method in METHOD_TITLES else method


def task_title(task: str) -> str:
    """What a task is called, with a capital."""
    words = TASK_TITLES.get(task, task.replace("_", " "))
    return words[:1].upper() + words[1:]


def share(value: float) -> str:
    """A number with three places and a true minus sign."""
    return f"{value:.3f}".replace("-", "−")


def ends(low: float | None, high: float | None) -> str:
    """Both ends of an interval with three places; empty where there is none."""
    return "" if low is None or high is None else f"{share(low)} to {share(high)}"


def one(rows: Sequence[Row], **wanted: Any) -> Row | None:
    """The first row that is so, if any."""
    return next((row for row in rows if all(row[name] == value for name, value in wanted.items())), None)
