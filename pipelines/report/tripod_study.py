"""What the sentences of the TRIPOD+AI pages are made from. Not here: the sentences."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from lake import Lake
from pipelines.report.cohorts import TASKS as TASK_TITLES
from pipelines.report.lineage import Ancestry
from pipelines.report.prediction_numbers import COMPARISONS, METHODS, Mode, Numbers, Place, read_numbers, read_rows

TABLES = (
    *("prediction_tasks", "prediction_labels", "prediction_inputs", "ehr_demographics"),
    *("series_features", "shared_series_features", "static_features"),
)
"""Tables that are read beside those of the prediction sections."""
DATABASES = {"carevue": "mimic_iii_carevue", "ehr_holdout": "mimic_iv"}
"""Release that a cohort is drawn from; all others are MIMIC-III's."""
HORIZONS = {"unbounded": "unbounded", "within_48h": "48h", "within_30d": "30d"}
"""Horizon of a mode, as the labels' tables have it."""
CHECKPOINTS = {"native": "pretrain_checkpoint", "shared": "pretrain_checkpoint_shared"}
"""Our model of each feature space."""
FEATURES = {"native": "series_features", "shared": "shared_series_features"}
"""Hourly features of each."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """What the sentences are made from.

    Attributes:
        lake: where the tables are.
        ancestry: the versions behind the page.
        numbers: of prediction tasks.
        places: where they were measured.
        tasks: rows of `prediction_tasks` of which anything was measured.
        events: rows of `prediction_events`.
        methods: rows of `prediction_methods`.
        compared: rows of `prediction_comparisons`.
        settings: of the evaluation, as a prediction table's manifest has them; empty where none says.
        is_synthetic: whether a source of these cohorts was written by the graph.
    """

    lake: Lake
    ancestry: Ancestry
    numbers: Numbers
    places: Sequence[Place]
    tasks: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    methods: Sequence[Mapping[str, Any]]
    compared: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    is_synthetic: bool

    @property
    def cohorts(self) -> list[str]:
        """Cohorts in which anything was measured."""
        return list(dict.fromkeys(place.cohort for place in self.places))

    @property
    def names(self) -> list[str]:
        """Tasks that were measured, in their order."""
        found = {row["task"] for row in self.tasks}
        return [name for name in TASK_TITLES if name in found]

    def rows(self, table: str) -> int:
        """Rows of a table."""
        manifest = self.lake.manifest(table)
        assert manifest is not None, "the tables of the page were looked up before"
        return manifest.rows

    @property
    def spaces(self) -> list[str]:
        """Feature spaces in which anything was measured."""
        found = {place.space for place in self.places}
        return [space for space in CHECKPOINTS if space in found]

    def examples(self) -> pl.LazyFrame:
        """Rows of `prediction_labels` of the tasks and cohorts that were measured; nobody else is in this study."""
        labels = self.lake.scan("prediction_labels").with_columns(pl.col("task", "cohort", "split").cast(pl.String))
        return labels.filter(pl.col("task").is_in(self.names), pl.col("cohort").is_in(self.cohorts))

    def main(self) -> Iterator[tuple[Place, str, Mode]]:
        """Every place and task with the first of its modes."""
        for place in self.places:
            for task in self.names:
                for mode in self.numbers.modes(place, task)[:1]:
                    yield place, task, mode


def read_study(lake: Lake, ancestry: Ancestry, *, synthetic_sources: Collection[str]) -> Study:
    """Read what was measured, and of whom."""
    numbers = read_numbers(lake)
    places = numbers.places()
    measured = {(row["task"], HORIZONS.get(row["mode"].horizon)) for row in numbers.rows}
    settings = [made.settings["measured"] for made in ancestry.manifests.values() if "measured" in made.settings]
    return Study(
        lake=lake,
        ancestry=ancestry,
        numbers=numbers,
        places=places,
        tasks=[row for row in read_rows(lake, "prediction_tasks") if (row["task"], row["horizon"]) in measured],
        events=read_rows(lake, "prediction_events"),
        methods=read_rows(lake, METHODS),
        compared=read_rows(lake, COMPARISONS),
        settings=settings[0] if settings else {},
        is_synthetic=any(database_of(place.cohort) in synthetic_sources for place in places),
    )


def database_of(cohort: str) -> str:
    """Return the release that a cohort is drawn from."""
    return DATABASES.get(cohort, "mimic_iii")


def listed(words: Iterable[str]) -> str:
    """Words with commas and an `and`."""
    found = list(words)
    return f"{', '.join(found[:-1])} and {found[-1]}" if len(found) > 1 else "".join(found)
