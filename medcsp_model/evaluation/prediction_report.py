"""Prediction from task folders to numbers: every method on every question, as rows of plain values.

run.json of `python -m medcsp_model.evaluate`: {"task": "prediction", "questions": [...], "trials", "code", "output",
"settings"}; `settings` as in `medcsp_model.settings.PredictionEvaluation`, `trials` a folder that outlives a run: what
is trained there is not trained again (`medcsp_model.evaluation.sweep`) while the digest of the code that trains
the method stays, which `code` has by name. A question:

    labels            plain values that stand in each of its rows: task, dataset, cohort, mode
    folder, task, horizon, cohort, tested_on, without    which task folder, and what of it (`TaskData.open`)
    checkpoint        folder of our model of that feature space
    corpus            the corpus that it was trained on, for MedHMP's own stages; empty: the training records
    towers_folder     what our text tower starts from when it is trained from scratch; empty: random weights
    text_folder       text encoder of the baselines; empty: a random one
    is_whole          label efficiency, cross-validation and curves too

In `output`: metrics.json, comparisons.json, methods.json and, of whole questions, curves.json: rows as in the contracts
of these names without what the caller knows of the run.
"""

import json
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medcsp_model.baselines.ehr.registry import COMPARISONS, demo_methods, methods, methods_of
from medcsp_model.baselines.ehr.text import TextSettings
from medcsp_model.checkpoint import write_json
from medcsp_model.distributed import choose_device
from medcsp_model.evaluation import areas, scores
from medcsp_model.evaluation.areas import Floats
from medcsp_model.evaluation.curves import curve
from medcsp_model.evaluation.prediction import Method
from medcsp_model.evaluation.retrieval import chance_average_precision
from medcsp_model.evaluation.scores import Estimate
from medcsp_model.evaluation.sweep import Result, Sweep, Workers, train_all
from medcsp_model.evaluation.task_data import Part, TaskData, TaskError
from medcsp_model.settings import PredictionEvaluation

log = logging.getLogger(__name__)
Row = dict[str, Any]

MEAN = -1
"""Seed of the mean over seeds."""
AREAS = {"auroc": areas.auroc, "auprc": areas.average_precision}
"""What is compared between methods, and measured after training on few positives."""
DECLARED_METRIC = "auroc"
PRETRAINED = ("medcsp", "medcsp_linear_probe")
"""Ours, whose differences from all others are given."""
DONE = "done: "
"""Before the name of a method whose sweep of a question is done, in the log."""
NAMES = {"average_precision": "auprc", "trapezoid_aupr": "auprc_trapezoid", "calibration_error": "ece"}
"""What `metrics` calls a measure, where not by its own name."""
TEST, FOLDS = "test", "cross_validation"


@dataclass(frozen=True, kw_only=True)
class Question:
    """One task in one cohort, as in the module's docstring."""

    labels: dict[str, str]
    folder: str
    task: str
    horizon: str
    cohort: str
    checkpoint: str
    tested_on: str = ""
    without: tuple[str, ...] = ()
    corpus: str = ""
    towers_folder: str = ""
    text_folder: str = ""
    is_whole: bool = True

    @property
    def title(self) -> str:
        """What it is, for logs."""
        return " ".join(self.labels[key] for key in ("task", "cohort", "mode"))

    def open(self, settings: PredictionEvaluation) -> TaskData:
        """Its examples; TaskError where there are none."""
        return TaskData.open(
            self.folder,
            task=self.task,
            horizon=self.horizon,
            cohort=self.cohort,
            tested_on=self.tested_on,
            without=self.without,
            device=choose_device(settings.sweep.device),
        )

    def methods(self, settings: PredictionEvaluation) -> dict[str, Method]:
        """Every method that is there, by name."""
        if settings.sizes == "demo":
            return demo_methods(checkpoint=self.checkpoint, corpus=self.corpus)
        text = TextSettings(folder=self.text_folder)
        return methods(checkpoint=self.checkpoint, corpus=self.corpus, text=text, towers_folder=self.towers_folder)


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a number was measured on, in the columns of `metrics`."""

    split: str
    k: int = 0
    n: int
    num_positive: int


@dataclass
class Numbers:
    """Rows, as they come."""

    metrics: list[Row] = field(default_factory=list)
    comparisons: list[Row] = field(default_factory=list)
    methods: list[Row] = field(default_factory=list)
    curves: list[Row] = field(default_factory=list)

    def write(self, output: Path) -> None:
        """Write one file each."""
        output.mkdir(parents=True, exist_ok=True)
        for name, rows in vars(self).items():
            write_json(output / f"{name}.json", rows)


def evaluate_prediction(run: Mapping[str, Any]) -> None:
    """Answer every question of a run description and write the files described above."""
    settings = PredictionEvaluation.from_json(run["settings"])
    if settings.sweep.num_threads:
        torch.set_num_threads(settings.sweep.num_threads)
    questions = [Question(**{**values, "without": tuple(values["without"])}) for values in run["questions"]]
    numbers = Numbers()
    for place, question in enumerate(questions, start=1):
        log.info("question %d of %d: %s", place, len(questions), question.title)
        Answer(question, settings=settings, trials=Path(run["trials"]), code=run["code"]).add_to(numbers)
    numbers.write(Path(run["output"]))
    log.info("prediction: %d questions, %d numbers", len(questions), len(numbers.metrics))


class Answer:
    """All numbers of one question.

    Args:
        question: the task.
        settings: what is measured.
        trials: folder of the trainings.
        code: digest of the code that trains each method, by name.
    """

    def __init__(
        self, question: Question, *, settings: PredictionEvaluation, trials: Path, code: Mapping[str, str]
    ) -> None:
        self.question, self.settings, self.trials, self.code = question, settings, trials, code
        self.numbers = Numbers()
        self.num_trials: Counter[str] = Counter()

    def add_to(self, numbers: Numbers) -> None:
        """Add its rows; a question that cannot be answered has rows of methods alone, which say why."""
        self._answer()
        for name, rows in vars(self.numbers).items():
            getattr(numbers, name).extend(rows)

    def _answer(self) -> None:
        try:
            data = self.question.open(self.settings)
            data.part()
        except TaskError as error:
            log.warning("%s: not available: %s", self.question.title, error)
            self.numbers.methods += [self._unavailable(name, str(error)) for name in self.settings.methods]
            return
        usable = self._usable(data)
        with Workers(data, num_workers=self.settings.sweep.num_workers) as workers:
            results = {}
            for name, method in usable.items():
                results[name] = self._sweep(name, method, data, data.part()).run(workers)
                self.num_trials[name] += results[name].num_trained + results[name].num_resumed
                log.info("%s%s: %s", DONE, name, self.question.title)
            self._test(data, results)
            if self.question.is_whole:
                self._few(data, usable, results, workers)
                self._folds(data, usable, workers)
        self.numbers.methods += [self._available(name, data, result) for name, result in results.items()]

    def _usable(self, data: TaskData) -> dict[str, Method]:
        """Methods of the task that can be used on it, by name; of the others it is written why."""
        every, usable = self.question.methods(self.settings), {}
        for name in methods_of(data.inputs.inputs):
            if name not in self.settings.methods:
                continue
            if reason := why_not(every[name], data):
                log.warning("%s: %s is not available: %s", self.question.title, name, reason)
                self.numbers.methods.append(self._unavailable(name, reason))
            else:
                usable[name] = every[name]
        return usable

    def _sweep(self, name: str, method: Method, data: TaskData, part: Part, **options: Any) -> Sweep:
        options.setdefault("settings", self.settings.sweep)
        return Sweep(method, data, part, code=self.code[name], folder=self.trials / name, **options)

    def _test(self, data: TaskData, results: Mapping[str, Result]) -> None:
        """Every measure of every method on the test part, and how methods differ."""
        rows = data.part().test
        label, subject = data.label_N[rows], data.subject_N[rows]
        groups = {name: values[rows] for name, values in data.groups.items()}
        areas: dict[str, dict[str, Estimate]] = {}
        for name, result in results.items():
            found = scores.report(
                label, result.score_SN, subject, groups=groups, thresholds=self.settings.thresholds, **self._draws()
            )
            for each in found:
                method, metric, k = _column_values(name, each.metric)
                if method == name or name == next(iter(results)):  # what no method changes is said once
                    split = f"{TEST}/{each.division}={each.group}" if each.division else TEST
                    basis = Basis(split=split, k=k, n=each.num_records, num_positive=each.num_positives)
                    self._add(method, metric, each.estimate, basis, by_seed=method == name)
                    if metric == "prevalence" and each.num_positives:
                        self._add_chance([(each.num_positives, each.num_records)], basis)
                if not each.division and metric in AREAS and method == name:
                    areas.setdefault(name, {})[metric] = each.estimate
        self._compare(areas, Basis(split=TEST, n=len(rows), num_positive=int(label.sum())))
        for name, result in results.items() if self.question.is_whole else ():
            common = {**self.question.labels, "method": name, "split": TEST, "num_seeds": len(result.trials)}
            common |= {"n": len(rows), "num_positive": int(label.sum())}
            self.numbers.curves += [common | point for point in curve(label, result.score_SN)]

    def _few(
        self, data: TaskData, usable: Mapping[str, Method], results: Mapping[str, Result], workers: Workers
    ) -> None:
        """Methods at the point that all positives chose, trained on some of them; validation stays as it is."""
        part, settings = data.part(), self.settings
        label, subject = data.label_N[part.test], data.subject_N[part.test]
        names = [name for name in settings.few_methods if name in usable]
        for k in [k for k in settings.few_positives if k < data.label_N[part.train].sum()]:
            fewer = [data.fewer(part, positives=k, draw=draw) for draw in range(settings.few_draws)]
            sweeps = {
                name: [
                    self._sweep(
                        name,
                        usable[name],
                        data,
                        each,
                        settings=replace(settings.sweep, seeds=(draw,), search_seeds=1),
                        points=[results[name].point],
                    )
                    for draw, each in enumerate(fewer)
                ]
                for name in names
            }
            areas = {
                name: scores.bootstrap(AREAS, label, score_DN, subject, **self._draws())
                for name, score_DN in self._scores(sweeps, workers).items()
            }
            basis = Basis(split=TEST, k=k, n=len(label), num_positive=int(label.sum()))
            for name, found in areas.items():
                for metric, estimate in found.items():
                    self._add(name, metric, estimate, basis)
            self._compare(areas, basis)

    def _scores(self, sweeps: Mapping[str, Sequence[Sweep]], workers: Workers) -> dict[str, Floats]:
        """Risks of the test part after each of some sweeps of one seed, (sweeps, n), trained side by side."""
        flat = [sweep for each in sweeps.values() for sweep in each]
        train_all(flat, [sweep.search() for sweep in flat], workers)
        self.num_trials.update({name: len(each) for name, each in sweeps.items()})
        return {name: np.concatenate([sweep.run(workers).score_SN for sweep in each]) for name, each in sweeps.items()}

    def _folds(self, data: TaskData, usable: Mapping[str, Method], workers: Workers) -> None:
        """Cross-validation of the declared comparisons: each fold searches the grid, areas are averaged over folds."""
        seeds = self.settings.sweep.seeds[: self.settings.fold_seeds]
        names = [name for name in dict.fromkeys(chain(*COMPARISONS)) if name in usable]
        if not seeds or not names:
            return
        try:
            parts = [data.part(f"fold-{fold}") for fold in np.unique(data.fold_N)]
        except TaskError as error:
            log.warning("%s: no cross-validation: %s", self.question.title, error)
            return
        settings = replace(self.settings.sweep, seeds=seeds, search_seeds=min(len(seeds), 1))
        metrics = {name: scores.averaged_over_folds(metric, data.fold_N) for name, metric in AREAS.items()}
        basis = Basis(split=FOLDS, n=len(data.label_N), num_positive=int(data.label_N.sum()))
        areas = {}
        for name in names:
            sweeps = [self._sweep(name, usable[name], data, part, settings=settings) for part in parts]
            train_all(sweeps, [sweep.search() for sweep in sweeps], workers)
            score_SN = np.empty((len(seeds), len(data.label_N)))
            for part, sweep in zip(parts, sweeps, strict=True):
                result = sweep.run(workers)
                score_SN[:, part.test] = result.score_SN
                self.num_trials[name] += len(sweep.search()) + len(seeds) - 1
            areas[name] = scores.bootstrap(metrics, data.label_N, score_SN, data.subject_N, **self._draws())
            for metric, estimate in areas[name].items():
                self._add(name, metric, estimate, basis)
        self._add_chance([(int(data.label_N[part.test].sum()), len(part.test)) for part in parts], basis)
        self._compare(areas, basis)

    def _draws(self) -> dict[str, Any]:
        sweep = self.settings.sweep
        return {"num_draws": sweep.num_draws, "seed": sweep.bootstrap_seed, "with_trainings": True}

    def _add(self, method: str, metric: str, estimate: Estimate, basis: Basis, *, by_seed: bool = True) -> None:
        """Add the mean with its interval, and each seed's value; what has no value has no row."""
        low, high = (None if math.isnan(end) else end for end in estimate.interval())
        values: list[tuple[int, float, float | None, float | None]] = [(MEAN, estimate.value, low, high)]
        if by_seed:
            values += [(seed, float(value), None, None) for seed, value in enumerate(estimate.values_S)]
        common = {**self.question.labels, "method": method, "metric": metric, **vars(basis)}
        self.numbers.metrics += [
            {**common, "seed": seed, "value": value, "ci_low": low, "ci_high": high}
            for seed, value, low, high in values
            if not math.isnan(value)
        ]

    def _add_chance(self, counts: Sequence[tuple[int, int]], basis: Basis) -> None:
        """Add the average precision of a random order, mean over parts of so many positives and records."""
        value = float(np.mean([chance_average_precision(*each) for each in counts]))
        nothing = np.zeros(0)
        self._add("chance", "auprc", Estimate(value, nothing, nothing), basis, by_seed=False)

    def _compare(self, areas: Mapping[str, Mapping[str, Estimate]], basis: Basis) -> None:
        """Add how ours differ from the others; Holm's p values over those declared, where all positives trained.

        Of few trainings each there is no p: of one it would tell two networks apart, which two trainings of one method
        are too, and of two or three it is far too small.
        """
        pairs = [pair for pair in combinations(areas, 2) if pair[0] in PRETRAINED]
        for metric in AREAS:
            estimates = {name: found[metric] for name, found in areas.items()}
            num_seeds = min((len(each.values_S) for each in estimates.values()), default=0)
            has_p = num_seeds >= scores.LEAST_TRAININGS
            declared = [pair for pair in COMPARISONS if pair in pairs and metric == DECLARED_METRIC and not basis.k]
            tested = scores.compare(estimates, declared) if has_p else []
            holm = {(row["method"], row["other"]): row["p_holm"] for row in tested}
            for ours, other in pairs:
                found = scores.difference(estimates[ours], estimates[other])
                if math.isnan(found.value):
                    continue
                row: Row = {**self.question.labels, **vars(basis), "metric": metric, "method": ours, "other": other}
                row |= {"difference": found.value, "is_declared": (ours, other) in declared, "num_seeds": num_seeds}
                row |= dict.fromkeys(("ci_low", "ci_high", "p_value", "p_holm"))
                if not math.isnan(found.low):
                    row |= {"ci_low": found.low, "ci_high": found.high, "p_holm": holm.get((ours, other))}
                    row["p_value"] = found.p if (ours, other) in holm else None
                self.numbers.comparisons.append(row)

    def _unavailable(self, name: str, reason: str) -> Row:
        nothing = dict.fromkeys(("point", "num_parameters", "num_train", "num_train_positive"))
        return {
            **self.question.labels,
            "method": name,
            "reason": reason,
            **nothing,
            "num_seeds": 0,
            "num_trials": 0,
        }

    def _available(self, name: str, data: TaskData, result: Result) -> Row:
        train = data.part().train
        return {
            **self._unavailable(name, ""),
            "reason": None,
            "point": json.dumps(result.point, sort_keys=True),
            "num_seeds": len(result.trials),
            "num_trials": self.num_trials[name],
            "num_parameters": result.trials[0].line.get("num_parameters"),
            "num_train": len(train),
            "num_train_positive": int(data.label_N[train].sum()),
        }


def why_not(method: Method, data: TaskData) -> str:
    """Why a method cannot be used on a task, or nothing."""
    try:
        method.check(data.inputs)
        method.to_json()  # which looks at the files that it starts from
    except ValueError as error:
        return str(error)
    return ""


def _column_values(method: str, metric: str) -> tuple[str, str, int]:
    """Method, metric and k as `metrics` has them."""
    if metric == "prevalence":
        return "chance", metric, 0
    if metric.startswith("net_benefit_"):
        threshold = round(100 * float(metric.rsplit("_", 1)[1]))
        return "all_positive" if "_of_all_" in metric else method, "net_benefit", threshold
    return method, NAMES.get(metric, metric), 0
