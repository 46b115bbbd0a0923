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

from benchmarks.quality.arms import ARMS, recipe
from medcsp_model.corpus import Corpus
from medcsp_model.evaluation.ablation.bench import Bench, bench_of_world, measure
from medcsp_model.evaluation.ablation.variants import changed, target_mass
from medcsp_model.evaluation.planted.folder import write_planted
from medcsp_model.evaluation.planted.recipe import Size
from medcsp_model.evaluation.planted.world import WorldSettings, make_world
from medcsp_model.trainer import Trainer

log = logging.getLogger(__name__)
LINES = "runs.jsonl"


@dataclass(frozen=True)
class Ground:
    """The world of a seed on disk, and its unseen records."""

    corpus: Corpus
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
    ground = Ground(write_planted(planted, work / "corpus"), bench_of_world(planted))
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
    settings = changed(recipe(ARMS[name], size=size, seed=seed), ARMS[name].variant, ground.corpus)
    began = time.process_time()
    done = Trainer(ground.corpus, settings=settings, folder=folder).run()
    trained = time.process_time()
    measures = measure(folder, ground.corpus, ground.bench, seed=seed)
    histogram = {int(pairs): steps for pairs, steps in done["linked_pairs_histogram"].items()}
    return {
        "arm": name,
        "seed": seed,
        "settings": settings.to_json(),
        "corpus": ground.corpus.fingerprint,
        "steps": done["steps"],
        "pairs_per_batch": sum(pairs * steps for pairs, steps in histogram.items()) / done["steps"],
        "losses": {key: done[f"loss_{key}"] for key in "apd"},
        "effective_weight_d": settings.loss.lambda_d * target_mass(ground.corpus, settings=settings),
        "num_candidates": len(ground.bench.cxr),
        "chance": ground.bench.chance,
        "measures": measures,
        "cpu_seconds": round(time.process_time() - began, 1),
        "train_cpu_seconds": round(trained - began, 1),
    }
