"""Trains one arm with one seed after the other and measures each: one line of JSON a run, nothing done twice.

A seed draws the world, the weights and the batches; all arms of a seed share its world. A line holds the settings of
the run and of the world: a run whose line is there is not run again, and a folder whose lines were made with other
settings is refused.
"""

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.arms import ARMS, Size, recipe
from benchmarks.quality.folder import write_corpora
from benchmarks.quality.measures import Bench, make_bench, measure, unit
from benchmarks.quality.world import WorldSettings, make_world
from medcsp_model.batches import PlanInputs, make_plan
from medcsp_model.corpus import Corpus
from medcsp_model.settings import Settings
from medcsp_model.trainer import Trainer

log = logging.getLogger(__name__)
LINES = "runs.jsonl"
_MASS_BATCHES = 20


@dataclass(frozen=True)
class Ground:
    """The world of a seed on disk, and its unseen records."""

    corpora: dict[str, Corpus]
    bench: Bench


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """Lines of a folder; one that a killed run left unfinished is passed over."""
    path = folder / LINES
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def append_line(folder: Path, line: dict[str, Any]) -> None:
    """Add a line that is whole or not there."""
    path = folder / LINES
    text = path.read_text() if path.is_file() else ""
    kept = text[: text.rfind("\n") + 1]
    staged = path.with_suffix(".part")
    staged.write_text(kept + json.dumps(line, sort_keys=True) + "\n")
    staged.replace(path)


def run_study(
    folder: Path, *, arms: Sequence[str], seeds: Sequence[int], world: WorldSettings, size: Size
) -> list[dict[str, Any]]:
    """Run what is missing, seed by seed; returns all lines of the folder.

    Raises:
        ValueError: an unknown arm, or the folder holds lines of other settings.
    """
    unknown = sorted(set(arms) - set(ARMS))
    if unknown:
        raise ValueError(f"--arms: no {unknown[0]!r}; known: {', '.join(ARMS)}")
    folder.mkdir(parents=True, exist_ok=True)
    common = {"world": asdict(world), "size": asdict(size)}
    for line in read_lines(folder):
        if {key: line[key] for key in common} != common:
            raise ValueError(f"{folder / LINES}: lines of another world or size; give a new --out")
    for seed in seeds:
        done = {line["arm"] for line in read_lines(folder) if line["seed"] == seed}
        missing = [arm for arm in arms if arm not in done]
        if missing:
            _run_seed(folder, missing, seed, world, size, common)
    return read_lines(folder)


def _run_seed(
    folder: Path, arms: Sequence[str], seed: int, world: WorldSettings, size: Size, common: dict[str, Any]
) -> None:
    work = folder / f"seed_{seed}"
    shutil.rmtree(work, ignore_errors=True)
    began = time.process_time()
    planted = make_world(world, seed=seed)
    ground = Ground(write_corpora(planted, work), make_bench(planted))
    log.info("seed %d: world in %.1f CPU seconds", seed, time.process_time() - began)
    for name in arms:
        line = run_arm(name, ground, work / name, seed=seed, size=size)
        append_line(folder, line | common)
        log.info("seed %d %s: %s, %.1f CPU seconds", seed, name, short(line), line["cpu_seconds"])
        shutil.rmtree(work / name)
    shutil.rmtree(work)


def short(line: dict[str, Any]) -> str:
    """The measures of a line."""
    return ", ".join(f"{name} {value['value']:.3f}" for name, value in line["measures"].items())


def run_arm(name: str, ground: Ground, folder: Path, *, seed: int, size: Size) -> dict[str, Any]:
    """Train an arm in a folder and measure it; returns its line."""
    arm, both = ARMS[name], ground.corpora["both"]
    settings = recipe(arm, size=size, seed=seed)
    mass = target_mass(both, settings=settings)
    if arm.matched:
        usual = recipe(ARMS["a_p_d"], size=size, seed=seed)
        matched = usual.loss.lambda_d * target_mass(both, settings=usual) / mass
        settings = recipe(arm, size=size, seed=seed, lambda_d=matched)
    began = time.process_time()
    done = Trainer(ground.corpora[arm.corpus], settings=settings, folder=folder).run()
    trained = time.process_time()
    measures = measure(folder, both, ground.bench, seed=seed)
    histogram = {int(pairs): steps for pairs, steps in done["linked_pairs_histogram"].items()}
    return {
        "arm": name,
        "seed": seed,
        "settings": settings.to_json(),
        "corpus": {key: corpus.fingerprint for key, corpus in ground.corpora.items()},
        "steps": done["steps"],
        "pairs_per_batch": sum(pairs * steps for pairs, steps in histogram.items()) / done["steps"],
        "losses": {key: done[f"loss_{key}"] for key in "apd"},
        "effective_weight_d": settings.loss.lambda_d * mass,
        "num_candidates": len(ground.bench.cxr),
        "chance": ground.bench.chance,
        "measures": measures,
        "cpu_seconds": round(time.process_time() - began, 1),
        "train_cpu_seconds": round(trained - began, 1),
    }


def target_mass(corpus: Corpus, *, settings: Settings) -> float:
    """Mean mass of the targets of L_D per anchor, over some batches: 1 where targets are normalised."""
    if settings.loss.d_target != "unnormalised":
        return 1.0
    plan = make_plan(PlanInputs.from_corpus(corpus, split="pretrain"), settings=settings.batch, seed=settings.run.seed)
    means = []
    for step in range(_MASS_BATCHES):
        batch = plan.batch(step)
        left, right = (_histories(corpus, name, batch[name]) for name in ("ehr", "cxr"))
        allowed = np.ones((len(left), len(right)), dtype=bool)
        if settings.loss.d_exclude_same_patient:
            who = {name: corpus.sources[name].subject_id[batch[name]] for name in ("ehr", "cxr")}
            allowed &= who["ehr"][:, None] != who["cxr"][None, :]
        if settings.loss.d_require_history:
            allowed &= np.outer(left.any(axis=1), right.any(axis=1))
        means.append(float((unit(left) @ unit(right).T)[allowed].mean()))
    return float(np.mean(means))


def _histories(corpus: Corpus, source: str, records: np.ndarray) -> np.ndarray:
    history = corpus.sources[source].history
    hot = np.zeros((len(records), history.size))
    for row, record in enumerate(records):
        hot[row, history.indices[history.indptr[record] : history.indptr[record + 1]]] = 1
    return hot
