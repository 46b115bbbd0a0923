"""Which trainings of a method are made: grid, seeds, choice of the point by validation alone; and where they are kept.

A **trial** is one training: (method and the code that trains it, task, part, grid point, seed). Its scores of the
validation and the test records are written first and one line about it afterwards, so that a sweep that was killed goes
on where it stopped:

    <folder>/trials.jsonl            a line per trial: key, point, seed, epochs, what validation said, seconds
    <folder>/scores/<key>.npy        float32, risks of the validation records, then of the test records
    <folder>/pretrained/<key>.safetensors    what a method learned before, of its own accord, once for all that share it

What does not live here: the training itself (`medcsp_model.evaluation.prediction`), measures of the test (`scores`).
"""

import hashlib
import json
import logging
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import load_file

from medcsp_model.checkpoint import write_tensors
from medcsp_model.command import die_with_parent
from medcsp_model.evaluation.prediction import Fitted, Floats, Method, Point, judge, rank
from medcsp_model.evaluation.task_data import Ints, Part, TaskData
from medcsp_model.settings.sweep import SweepSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """One training, done.

    Attributes:
        line: as in `trials.jsonl`.
        validation_N, test_N: risks.
    """

    line: dict[str, Any]
    validation_N: Floats
    test_N: Floats


@dataclass(frozen=True)
class Result:
    """What a sweep of one method on one part of one task came to.

    Attributes:
        point: the grid point that validation chose.
        trials: one training at it per seed.
        score_SN: risks of the test records, one row per seed.
        num_trained, num_resumed: trainings done now, and found done.
    """

    point: Point
    trials: list[Trial]
    score_SN: Floats
    num_trained: int
    num_resumed: int


@dataclass(frozen=True)
class Job:
    """One training that is to be done.

    Attributes:
        pretrained: file of what the method learned before; None where it learned nothing.
    """

    method: Method
    part: Part
    point: Point
    seed: int
    settings: SweepSettings
    pretrained: Path | None = None

    def fit(self, data: TaskData) -> Fitted:
        """Train."""
        pretrained = load_file(self.pretrained) if self.pretrained else {}
        return self.method.fit(
            data, self.part, point=self.point, seed=self.seed, settings=self.settings, pretrained=pretrained
        )


class Workers:
    """Trains on one task: here, or in processes that each hold the task open until the last job is done.

    Args:
        data: the task.
        num_workers: processes; 1 trains in this one.
    """

    def __init__(self, data: TaskData, *, num_workers: int) -> None:
        self.data, self.num_workers = data, num_workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def fit(self, jobs: Sequence[Job]) -> Iterator[Fitted]:
        """What comes of each job, in their order."""
        if self.num_workers == 1 or (len(jobs) < 2 and self._pool is None):
            yield from (job.fit(self.data) for job in jobs)
            return
        if self._pool is None:
            context = multiprocessing.get_context("forkserver")  # it imports torch once for all workers
            of_methods = sorted({type(job.method).__module__ for job in jobs})
            context.set_forkserver_preload([__name__, "torch._dynamo", *of_methods])
            given = (self.data.opened,)
            self._pool = ProcessPoolExecutor(
                self.num_workers, mp_context=context, initializer=_start_worker, initargs=given
            )
        yield from self._pool.map(_work, jobs)


class Sweep:
    """All trials of one method on one part of one task, those already done taken from the folder.

    Args:
        method: the method.
        data: the task.
        part: which examples train, choose and test.
        code: digest of the code that trains the method; what other code trained is not found.
        folder: of any number of sweeps, which share what they have in common; one process writes it at a time.
        settings: grid, seeds and training.
        points: among which validation chooses; None: the method's grid.
    """

    def __init__(
        self,
        method: Method,
        data: TaskData,
        part: Part,
        *,
        code: str,
        folder: str | Path,
        settings: SweepSettings,
        points: Sequence[Point] | None = None,
    ):
        self.method, self.data, self.part, self.code = method, data, part, code
        self.folder, self.settings = Path(folder), settings
        self.grid = list(points or method.grid(settings))
        training = ("monitor", "max_epochs", "patience", "weight_decay", "clip_norm")
        about = {
            "method": method.to_json(),
            "code": code,
            "training": {key: getattr(settings, key) for key in training},
            "data": data.fingerprint,
            "part": [part.name, *(hashlib.sha256(rows.tobytes()).hexdigest() for rows in _rows(part))],
        }
        self.about = json.dumps(about, sort_keys=True)
        (self.folder / "scores").mkdir(parents=True, exist_ok=True)

    def run(self, workers: Workers | None = None) -> Result:
        """Search the grid with the first seeds, then train the best point with the others."""
        with workers or Workers(self.data, num_workers=self.settings.num_workers) as own:
            return self._run(workers or own)

    def _run(self, workers: Workers) -> Result:
        searching = self.settings.seeds[: self.settings.search_seeds]
        wanted = self.search()
        new = train_all([self], [wanted], workers)
        found = self._trials(wanted)
        best = max(self.grid, key=lambda point: self._mean_rank([found[_key_of(point, seed)] for seed in searching]))
        rest = [(best, seed) for seed in self.settings.seeds[self.settings.search_seeds :]]
        new += train_all([self], [rest], workers)
        found |= self._trials(rest)
        trials = [found[_key_of(best, seed)] for seed in self.settings.seeds]
        score_SN = np.stack([trial.test_N for trial in trials])
        return Result(best, trials, score_SN, new, len(found) - new)

    def search(self) -> list[tuple[Point, int]]:
        """Trainings that choose the point: those that sweeps can do side by side (`train_all`)."""
        return [(point, seed) for point in self.grid for seed in self.settings.seeds[: self.settings.search_seeds]]

    def missing(self, wanted: Sequence[tuple[Point, int]]) -> list[Job]:
        """Jobs of the trainings that are not done."""
        done = self._done()
        open_ = [(point, seed) for point, seed in wanted if self._key(point, seed) not in done]
        pretrained = self._pretrained() if open_ else None
        return [Job(self.method, self.part, point, seed, self.settings, pretrained) for point, seed in open_]

    def keep(self, job: Job, fitted: Fitted, *, place: str = "") -> None:
        """Write what came of a training, and say so."""
        line = self._write(job.point, job.seed, fitted)
        log.info(
            "%s %s %s: %s seed %d, %s: validation %s %.4f, %.1f s",
            self.method.name,
            "/".join(self.data.name.values()),
            self.part.name,
            place,
            job.seed,
            " ".join(f"{key} {value:g}" for key, value in job.point.items()),
            self.settings.monitor,
            line["said"][self.settings.monitor],
            line.get("seconds", 0.0),
        )

    def _mean_rank(self, trials: Sequence[Trial]) -> tuple[float, float]:
        first, second = np.mean([rank(trial.line["said"], self.settings) for trial in trials], axis=0)
        return float(first), float(second)

    def _trials(self, wanted: Sequence[tuple[Point, int]]) -> dict[str, Trial]:
        done = self._done()
        return {_key_of(point, seed): self._read(done[self._key(point, seed)]) for point, seed in wanted}

    def _key(self, point: Point, seed: int) -> str:
        return hashlib.sha256(f"{self.about} {_key_of(point, seed)}".encode()).hexdigest()[:16]

    def _pretrained(self) -> Path | None:
        """File of what the method learned before, which is learned now if it is not there."""
        if type(self.method).pretrain is Method.pretrain:
            return None
        about = json.dumps([self.method.to_json(), self.code, self.settings.seeds[0]], sort_keys=True)
        key = hashlib.sha256(f"{about} {self.method.pretrained_on(self.data, self.part)}".encode()).hexdigest()[:16]
        path = self.folder / "pretrained" / f"{key}.safetensors"
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            log.info("%s: pre-training", self.method.name)
            write_tensors(path, self.method.pretrain(self.data, self.part, settings=self.settings))
        return path

    def _done(self) -> dict[str, dict[str, Any]]:
        """Lines of trials whose scores are there too; a torn last line is one that was never written."""
        path = self.folder / "trials.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        done = [json.loads(line) for line in lines if line.endswith("}")]
        return {line["key"]: line for line in done if (self.folder / "scores" / f"{line['key']}.npy").is_file()}

    def _write(self, point: Point, seed: int, fitted: Fitted) -> dict[str, Any]:
        key = self._key(point, seed)
        path, staged = self.folder / "scores" / f"{key}.npy", self.folder / "scores" / f".{key}.part.npy"
        np.save(staged, np.concatenate([fitted.validation, fitted.test]).astype(np.float32))
        staged.replace(path)
        label = {"method": self.method.name, **self.data.name, "part": self.part.name}
        line = {"key": key, "code": self.code, **label, "seed": seed, "point": point, **fitted.facts}
        line.setdefault("said", judge(self.data.label_N[self.part.validation], fitted.validation))
        with (self.folder / "trials.jsonl").open("a") as file:
            before = "\n" if _is_torn(self.folder / "trials.jsonl") else ""
            file.write(f"{before}{json.dumps(line, sort_keys=True)}\n")
            file.flush()
            os.fsync(file.fileno())
        return line

    def _read(self, line: dict[str, Any]) -> Trial:
        values = np.load(self.folder / "scores" / f"{line['key']}.npy", allow_pickle=False).astype(np.float64)
        cut = len(self.part.validation)
        return Trial(line, values[:cut], values[cut:])


def train_all(sweeps: Sequence[Sweep], wanted: Sequence[Sequence[tuple[Point, int]]], workers: Workers) -> int:
    """Do what some sweeps of one task want and lack, side by side.

    Args:
        sweeps: they may be of several methods and parts.
        wanted: of each sweep, points and seeds.
        workers: of the task.

    Returns:
        number of trainings done.
    """
    jobs = [(sweep, job) for sweep, asked in zip(sweeps, wanted, strict=True) for job in sweep.missing(asked)]
    for number, fitted in enumerate(workers.fit([job for _, job in jobs])):
        sweep, job = jobs[number]
        sweep.keep(job, fitted, place=f"{number + 1} of {len(jobs)},")
    return len(jobs)


def _rows(part: Part) -> tuple[Ints, Ints, Ints]:
    return part.train, part.validation, part.test


def _key_of(point: Point, seed: int) -> str:
    return json.dumps({"point": point, "seed": seed}, sort_keys=True)


def _is_torn(path: Path) -> bool:
    return path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")


_opened: list[TaskData] = []
"""The task that a worker process trains on; empty everywhere else."""


def _start_worker(opened: Mapping[str, Any]) -> None:
    die_with_parent()
    torch.set_num_threads(1)
    _opened.append(TaskData.open(**opened))


def _work(job: Job) -> Fitted:
    return job.fit(_opened[0])
