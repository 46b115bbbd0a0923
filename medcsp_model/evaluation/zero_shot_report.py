"""Zero-shot classification from models over an evaluation set to rows of plain values: prompts, controls, subgroups.

A model says of every film how much nearer it is to the positive prompt than to the negative one, under each prompt set.
Numbers are given of each set, and of the mean over those that describe the label's own finding; of the headline set
alone also curves, subgroups, and two controls:
the lungs alone, and the border alone, where what is still told apart was told by something else than the finding.

Letters: N films, D width.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcsp_model.evaluation import scores
from medcsp_model.evaluation.areas import Bools, Floats
from medcsp_model.evaluation.bootstrap import ends
from medcsp_model.evaluation.curves import curve
from medcsp_model.evaluation.readers import Control, EvaluationSet, Reader
from medcsp_model.evaluation.retrieval import chance_average_precision
from medcsp_model.evaluation.scores import Estimate
from medcsp_model.evaluation.zero_shot import MEAN, METRICS, PromptSet, about, constant_scores, estimate
from medcsp_model.settings import RadiologyEvaluation

log = logging.getLogger(__name__)
Row = dict[str, Any]

PAPER, CONSTANT, SPREAD = "/paper", "constant", "_sd"
CONTROLS: tuple[Control, ...] = ("lung_only", "border_only")
GROUPS = ("view", "sex", "age_group", "origin")
COMPARED = ("f1", "auroc")
DECLARED = "auroc"
"""What is compared with the paper's baselines beforehand: by the headline prompts, mode native."""
Estimates = Mapping[str, Estimate]


def positive_rate(label_N: Bools, score_N: Floats, weight_NB: Floats) -> Floats:
    """Share of films that are called positive: all that an origin of one class can be asked for."""
    share_B: Floats = ((score_N > 0) @ weight_NB) / weight_NB.sum(axis=0)
    return share_B


class NothingToTellError(ValueError):
    """A set without labels, or with one class alone: no method has a number, and the message says why."""


@dataclass(frozen=True)
class Labelled:
    """The films of an evaluation set that have a label and pixels.

    Attributes:
        data: the evaluation set.
        records: their records, int64 (N,).
        label: the finding, bool (N,).
    """

    data: EvaluationSet
    records: NDArray[np.int64]
    label: Bools

    @classmethod
    def of(cls, data: EvaluationSet) -> "Labelled":
        """Take those of a set.

        Raises:
            NothingToTellError: none has a label, or all have the same.
        """
        labels = data.films.label
        has = np.array([value is not None for value in labels], dtype=bool) & data.pixels.present
        records = np.flatnonzero(has).astype(np.int64)
        label = np.array([bool(labels[record]) for record in records], dtype=bool)
        if not len(records) or label.all() or not label.any():
            raise NothingToTellError(
                f"{int(label.sum())} of {len(records)} labelled films are positive: there is nothing to tell apart"
            )
        return cls(data, records, label)

    @property
    def subject(self) -> NDArray[np.int64]:
        """Patient of every film."""
        return self.data.subject_id[self.records]

    def groups(self, *, smallest: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Name and films, as positions, of subgroups that are large enough."""
        for name in GROUPS:
            values = self.data.films.group(name)[self.records]
            for value in sorted(set(values.tolist()) - {""}):
                chosen = np.flatnonzero(values == value)
                if len(chosen) >= smallest:
                    yield f"{name.removesuffix('_group')}={value}", chosen


@dataclass
class ZeroShotNumbers:
    """Rows of metrics, comparisons and curves, as they come.

    Args:
        films: what is classified.
        prompts: the prompt sets.
        finding: what the label says; prompt sets of another are left out of the mean.
        cohort: name of the cohort.
        split: name of the set.
        radiology: headline, draws, smallest subgroup and class of one.
        paired_with: the methods whose difference from ours was declared beforehand.
    """

    films: Labelled
    prompts: Sequence[PromptSet]
    finding: str
    cohort: str
    split: str
    radiology: RadiologyEvaluation
    paired_with: Sequence[str] = ()
    metrics: list[Row] = field(default_factory=list)
    comparisons: list[Row] = field(default_factory=list)
    curves: list[Row] = field(default_factory=list)
    _found: dict[tuple[str, str], dict[str, Estimates]] = field(default_factory=dict)

    def said(self) -> list[Row]:
        """What each prompt set describes, and whether it is in the mean."""
        own = self._averaged()
        return [{"name": each.name, "finding": each.finding, "is_averaged": each.name in own} for each in self.prompts]

    def _averaged(self) -> list[str]:
        return about(self.prompts, self.finding)

    def add(self, reader: Reader) -> None:
        """Add all rows of a model."""
        suffix = PAPER if reader.mode == "paper" else ""
        images = reader.images(self.films.records)
        by_set = {each.name: reader.scores(images, each) for each in self.prompts}
        found = estimate(
            self.films.label,
            by_set,
            self.films.subject,
            headline=self.radiology.headline,
            averaged=self._averaged(),
            **self._draws(),
        )
        self._found[reader.method, reader.mode] = {name: dict(measured) for name, measured in found.items()}
        for name, measured in found.items():
            self._add(reader.method, name + suffix, measured)
            if name != MEAN:
                rate = scores.bootstrap(
                    {"positive_rate": positive_rate},
                    self.films.label,
                    by_set[name],
                    self.films.subject,
                    **self._draws(),
                )
                self._add(reader.method, name + suffix, rate)
        self._add_curve(reader.method, self.radiology.headline + suffix, by_set[self.radiology.headline])
        self._add_groups(reader.method, self.radiology.headline + suffix, by_set[self.radiology.headline])
        for control in CONTROLS:
            self._add_control(reader, control, suffix)

    def _add_curve(self, method: str, mode: str, score: Floats) -> None:
        common = {"cohort": self.cohort, "method": method, "mode": mode, "split": self.split, "num_seeds": 1}
        common |= {"n": len(self.films.label), "num_positive": int(self.films.label.sum())}
        self.curves += [common | point for point in curve(self.films.label, score)]

    def _draws(self) -> dict[str, Any]:
        return {"num_draws": self.radiology.num_draws, "seed": self.radiology.seed}

    def _headline(self) -> PromptSet:
        return next(each for each in self.prompts if each.name == self.radiology.headline)

    def _add_control(self, reader: Reader, control: Control, suffix: str) -> None:
        """By the headline prompts, of the films that have what the control needs."""
        has = np.ones(len(self.films.records), dtype=bool)
        if control == "lung_only":
            has = self.films.data.films.mask[self.films.records] >= 0
        label = self.films.label[has]
        if not label.any() or label.all():
            return
        images = reader.images(self.films.records[has], control=control)
        score = reader.scores(images, self._headline())
        measures = METRICS | {"positive_rate": positive_rate}
        found = scores.bootstrap(measures, label, score, self.films.subject[has], **self._draws())
        self._add(reader.method, f"{self.radiology.headline}/{control}{suffix}", found, label=label)

    def _add_groups(self, method: str, mode: str, score: Floats) -> None:
        measures = METRICS | {"positive_rate": positive_rate}
        for name, chosen in self.films.groups(smallest=self.radiology.smallest_group):
            label = self.films.label[chosen]
            fewest = min(int(label.sum()), int((~label).sum()))  # of one positive, an area would be that film's rank
            is_told = fewest >= self.radiology.smallest_group
            asked = measures if is_told else {"positive_rate": positive_rate}
            found = scores.bootstrap(asked, label, score[chosen], self.films.subject[chosen], **self._draws())
            self._add(method, mode, found, split=f"{self.split}/{name}", label=label)

    def add_constants(self) -> None:
        """Add rows of what sees no image: always positive, always negative, and a coin or a random order."""
        label = self.films.label
        for name, score in constant_scores(len(label)).items():
            found = scores.bootstrap(METRICS, label, score, self.films.subject, **self._draws())
            self._add(name, CONSTANT, found)
        share = float(label.mean())
        coin = {"precision": share, "recall": share, "f1": share, "prevalence": share}
        coin |= {"mcc": 0.0, "balanced_accuracy": 0.5, "auroc": 0.5}
        coin["auprc"] = chance_average_precision(int(label.sum()), len(label))
        nothing = np.zeros(0)
        self._add("chance", CONSTANT, {name: Estimate(value, nothing, nothing) for name, value in coin.items()})

    def _add(self, method: str, mode: str, found: Estimates, *, split: str = "", label: Bools | None = None) -> None:
        """Add a row of each measure that has a value; of a mean over prompt sets, its spread too."""
        label = self.films.label if label is None else label
        common = {"cohort": self.cohort, "method": method, "mode": mode, "k": 0, "split": split or self.split}
        common |= {"n": len(label), "num_positive": int(label.sum())}
        has_classes = _has_classes(found)
        for metric, each in found.items():
            if math.isnan(each.value):
                continue
            is_drawn = len(each.draws_B) and (has_classes or metric == "positive_rate")
            low, high = each.interval() if is_drawn else (math.nan, math.nan)
            self.metrics.append({**common, "metric": metric, "value": each.value, **ends(low, high)})
            if mode.split("/")[0] == MEAN and not math.isnan(each.seed_deviation):
                nothing = {"ci_low": None, "ci_high": None}
                self.metrics.append({**common, "metric": metric + SPREAD, "value": each.seed_deviation, **nothing})

    def compare(self, ours: str) -> None:
        """Add how ours differs from every other model in the same mode; Holm's p values over the declared."""
        for mode in self.radiology.modes:
            of_mode = {method: found for (method, its_mode), found in self._found.items() if its_mode == mode}
            if ours not in of_mode or len(of_mode) < 2:
                continue
            for name in of_mode[ours]:
                for metric in COMPARED:
                    self._compare(ours, {m: found[name][metric] for m, found in of_mode.items()}, mode, name, metric)

    def _compare(self, ours: str, of_method: Mapping[str, Estimate], mode: str, name: str, metric: str) -> None:
        is_declared = (mode, name, metric) == ("native", self.radiology.headline, DECLARED)
        pairs = [(ours, other) for other in self.paired_with if other in of_method] if is_declared else []
        holm = {row["other"]: row["p_holm"] for row in scores.compare(of_method, pairs)}
        for other in [method for method in of_method if method != ours]:
            found = scores.difference(of_method[ours], of_method[other])
            if math.isnan(found.value):
                continue
            has_draws = not math.isnan(found.low)
            self.comparisons.append(
                {
                    "cohort": self.cohort,
                    "mode": name + (PAPER if mode == "paper" else ""),
                    "metric": metric,
                    "k": 0,
                    "split": self.split,
                    "method": ours,
                    "other": other,
                    "difference": found.value,
                    **ends(found.low, found.high),
                    "p_value": found.p if has_draws and other in holm else None,
                    "p_holm": holm.get(other) if has_draws else None,
                    "is_declared": other in holm,
                    "n": len(self.films.label),
                    "num_positive": int(self.films.label.sum()),
                }
            )


def _has_classes(found: Estimates) -> bool:
    """Whether most draws of patients held both classes."""
    return all(each.num_undefined <= scores.MOST_UNDEFINED * len(each.draws_B) for each in found.values())
