"""Retrieval from models over an evaluation set to rows of plain values: both directions, all variants, differences.

A variant is a direction (reports search images, images search reports), films (all views, or the first frontal one of
every study that has any), and what is relevant (what belongs to the same study, or to any study with the same text).
All of them rank the same similarities. Subgroups are of queries: of patients by sex and age, of images by view.

Letters: Q queries, C candidates, D width.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcsp_model.evaluation import scores
from medcsp_model.evaluation.bootstrap import cluster_draws, ends
from medcsp_model.evaluation.readers import Embeddings, EvaluationSet, Reader
from medcsp_model.evaluation.retrieval import (
    Floats,
    Ints,
    Relevant,
    exact_ranks,
    first_frontal,
    method_rows,
    query_measures,
    reference_rows,
    text_groups,
)
from medcsp_model.settings import RadiologyEvaluation, RetrievalSettings

log = logging.getLogger(__name__)
Row = dict[str, Any]

TO_IMAGE, TO_TEXT, SAME_TEXT, PAPER = "text_to_image", "image_to_text", "/same_text", "/paper"
ALL_VIEWS, FRONTAL = "all_views", "frontal"
NAMES = {"reciprocal_rank": "mrr", "average_precision": "map"}
"""What `metrics` calls a measure, where not by its own name."""
COMPARED = ("precision_at_k", "recall_at_k", "hit_at_k", "reciprocal_rank", "average_precision")
DECLARED = ("recall_at_k", 10)
"""What is compared with the paper's baselines beforehand: text to image, all views, by identity, mode native."""
GROUPS = ("view", "sex", "age_group")


@dataclass(frozen=True)
class Gallery:
    """What is searched: reports and images of the same studies, as records of an evaluation set.

    Attributes:
        data: the evaluation set.
        reports: one record per study, int64 (r,).
        images: every image of those studies, int64 (c,).
    """

    data: EvaluationSet
    reports: Ints
    images: Ints

    def variants(self) -> Iterator["Variant"]:
        """Every variant there is; without frontal images, or without two texts that are the same, fewer."""
        films, study = self.data.films, self.data.study_id
        group = text_groups([films.whole[row] for row in films.text[self.reports]])
        text_of_study = dict(zip(study[self.reports].tolist(), group.tolist(), strict=True))
        frontal = first_frontal([films.view[record] or "" for record in self.images], study[self.images])
        shown = {ALL_VIEWS: np.arange(len(self.images)), FRONTAL: frontal}
        for cohort, chosen in shown.items():
            images = self.images[chosen]
            asked = np.flatnonzero(np.isin(study[self.reports], study[images]))
            if not len(images):
                continue
            places = {TO_IMAGE: (asked, chosen), TO_TEXT: (chosen, asked)}
            for suffix in ("", SAME_TEXT):
                of_study = study if not suffix else _mapped(study, text_of_study)
                if suffix and len(set(group.tolist())) == len(group):
                    continue
                groups = of_study[self.reports[asked]], of_study[images]
                for direction, (queries, candidates) in places.items():
                    group_Q, group_C = groups if direction == TO_IMAGE else groups[::-1]
                    yield Variant(cohort, direction, suffix, queries, candidates, group_Q, group_C)


def _mapped(study: Ints, group_of: Mapping[int, int]) -> Ints:
    return np.array([group_of.get(number, -1) for number in study.tolist()], dtype=np.int64)


@dataclass(frozen=True)
class Variant:
    """One search.

    Attributes:
        cohort, direction, suffix: as `metrics` has them.
        queries, candidates: positions among the gallery's reports and images, whichever the direction makes them.
        group_Q, group_C: a candidate is relevant to the queries of its group.
    """

    cohort: str
    direction: str
    suffix: str
    queries: Ints
    candidates: Ints
    group_Q: Ints
    group_C: Ints

    @property
    def mode(self) -> str:
        """As `metrics` has it, of a model in mode native."""
        return self.direction + self.suffix

    @property
    def is_main(self) -> bool:
        """Whether it is the paper's own."""
        return (self.cohort, self.mode) == (ALL_VIEWS, TO_IMAGE)

    def records(self, gallery: Gallery) -> Ints:
        """Records of the queries."""
        return (gallery.reports if self.direction == TO_IMAGE else gallery.images)[self.queries]


@dataclass
class RetrievalNumbers:
    """Rows of metrics and comparisons, as they come.

    Args:
        gallery: what is searched.
        split: name of the set.
        settings: cut-offs, draws.
        radiology: smallest subgroup.
        paired_with: the methods whose difference from ours was declared beforehand.
    """

    gallery: Gallery
    split: str
    settings: RetrievalSettings
    radiology: RadiologyEvaluation
    paired_with: Sequence[str] = ()
    metrics: list[Row] = field(default_factory=list)
    comparisons: list[Row] = field(default_factory=list)
    _found: dict[tuple[str, str, str], dict[tuple[str, int], Floats]] = field(default_factory=dict)
    _variants: list[Variant] = field(init=False)

    def __post_init__(self) -> None:
        self._variants = list(self.gallery.variants())

    def add(self, reader: Reader, *, with_references: bool = False) -> tuple[Embeddings, Embeddings]:
        """Add all rows of a model; `with_references`, of ceiling and chance too. Returns its reports and images."""
        reports, images = reader.reports(self.gallery.reports), reader.images(self.gallery.images)
        for variant in self._variants:
            sides = (reports, images) if variant.direction == TO_IMAGE else (images, reports)
            relevant = Relevant.of_groups(variant.group_Q, variant.group_C)
            ranks = exact_ranks(sides[0][variant.queries], sides[1][variant.candidates], relevant)
            ks = [k for k in self.settings.ks if k <= relevant.num_candidates]
            found = query_measures(ranks, relevant, ks=ks)
            self._found[reader.method, reader.mode, f"{variant.cohort} {variant.mode}"] = found
            for split, chosen in self._splits(variant):
                self._add(reader, variant, found, split, chosen, with_references=with_references)
        return reports, images

    def _splits(self, variant: Variant) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Name and queries of the whole set, and of subgroups that are large enough."""
        records = variant.records(self.gallery)
        yield self.split, np.arange(len(records))
        if variant.cohort != ALL_VIEWS or variant.suffix:
            return
        for name in GROUPS:
            if name == "view" and variant.direction == TO_IMAGE:  # a report is of all its study's views
                continue
            values = self.gallery.data.films.group(name)[records]
            for value in sorted(set(values.tolist()) - {""}):
                chosen = np.flatnonzero(values == value)
                if len(chosen) >= self.radiology.smallest_group:
                    yield f"{self.split}/{name.removesuffix('_group')}={value}", chosen

    def _add(
        self,
        reader: Reader,
        variant: Variant,
        found: Mapping[tuple[str, int], Floats],
        split: str,
        chosen: Ints,
        *,
        with_references: bool,
    ) -> None:
        subject_Q = self.gallery.data.subject_id[variant.records(self.gallery)][chosen]
        draws = {"num_draws": self.settings.num_draws, "seed": self.settings.seed}
        of_chosen = {name: values[chosen] for name, values in found.items()}
        rows = method_rows(of_chosen, subject_Q, method=reader.method, **draws)
        common = {"cohort": variant.cohort, "split": split, "num_positive": None}
        suffix = PAPER if reader.mode == "paper" else ""
        self.metrics += [_named(row) | common | {"mode": variant.mode + suffix} for row in rows]
        if with_references:
            relevant = Relevant.of_groups(variant.group_Q[chosen], variant.group_C)
            references = reference_rows(relevant, ks=self.settings.ks)
            self.metrics += [_named(row) | common | {"mode": variant.mode} for row in references]

    def compare(self, ours: str) -> None:
        """Add how ours differs from every other model in the same mode, by identity; Holm's p over the declared."""
        for variant in self._variants:
            if variant.suffix:
                continue
            key = f"{variant.cohort} {variant.mode}"
            subject_Q = self.gallery.data.subject_id[variant.records(self.gallery)]
            for mode in self.radiology.modes:
                of_mode = {
                    method: found
                    for (method, its_mode, its_key), found in self._found.items()
                    if (its_mode, its_key) == (mode, key)
                }
                if ours in of_mode and len(of_mode) > 1:
                    self._compare(ours, of_mode, variant, mode, subject_Q)

    def _compare(
        self,
        ours: str,
        of_mode: Mapping[str, Mapping[tuple[str, int], Floats]],
        variant: Variant,
        mode: str,
        subject_Q: Ints,
    ) -> None:
        names = [name for name in of_mode[ours] if name[0] in COMPARED]
        estimates = {method: self._estimates(found, names, subject_Q) for method, found in of_mode.items()}
        is_declared = variant.is_main and mode == "native"
        pairs = [(ours, other) for other in self.paired_with if other in of_mode] if is_declared else []
        for name in names:
            declared = pairs if name == DECLARED else []
            of_name = {method: found[name] for method, found in estimates.items()}
            holm = {row["other"]: row["p_holm"] for row in scores.compare(of_name, declared)}
            for other in [method for method in of_mode if method != ours]:
                found = scores.difference(estimates[ours][name], estimates[other][name])
                self.comparisons.append(
                    {
                        "cohort": variant.cohort,
                        "mode": variant.mode + (PAPER if mode == "paper" else ""),
                        "metric": NAMES.get(name[0], name[0]),
                        "k": name[1],
                        "split": self.split,
                        "method": ours,
                        "other": other,
                        "difference": found.value,
                        **ends(found.low, found.high),
                        "p_value": None if math.isnan(found.low) or other not in holm else found.p,
                        "p_holm": None if math.isnan(found.low) else holm.get(other),
                        "is_declared": other in holm,
                        "n": len(subject_Q),
                        "num_positive": None,
                    }
                )

    def _estimates(
        self, found: Mapping[tuple[str, int], Floats], names: Sequence[tuple[str, int]], subject_Q: Ints
    ) -> dict[tuple[str, int], scores.Estimate]:
        values_QM = np.stack([found[name] for name in names], axis=1)
        draws_BM = cluster_draws(values_QM, subject_Q, num_draws=self.settings.num_draws, seed=self.settings.seed)
        means = values_QM.mean(axis=0)
        return {
            name: scores.Estimate(float(means[column]), means[column : column + 1], draws_BM[:, column])
            for column, name in enumerate(names)
        }


def _named(row: Row) -> Row:
    return row | {"metric": NAMES.get(row["metric"], row["metric"])}
