"""Ablate: `python -m medcsp_model.ablate --settings run.json` trains and measures every variant with every seed.

run.json: {"corpus", "output", "trials", "settings", "recipe", "zero_shot", "training_code", "measuring_code"};
`settings` as in `medcsp_model.settings.AblationSettings`, `recipe` those of a training, `zero_shot` the films that
variants of the corpus classify (`medcsp_model.evaluation.ablation.films`) or null, `trials` a folder that outlives a
run: what is there is neither trained nor measured again while the digests of the code that does it stay. In `output`:

    metrics.json       rows of dataset, method, mode, metric, k, split, seed (-1: the mean), value, ci_low, ci_high, n
    comparisons.json   paired differences of the recipe and each variant
    trials.json        each training: steps, effective weights, pairs a batch, losses, and the folder of its checkpoint
    not_measured.json  {"zero_shot": why the films cannot be told apart}, or nothing

SIGTERM and ^C save the state of the training that runs and exit with 143.
"""

import logging
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medcsp_model.checkpoint import write_json
from medcsp_model.command import read_run, start
from medcsp_model.corpus import Corpus
from medcsp_model.evaluation.ablation.bench import bench_of_corpus, bench_of_world
from medcsp_model.evaluation.ablation.films import FilmBench
from medcsp_model.evaluation.ablation.measures import Values
from medcsp_model.evaluation.ablation.report import Row, rows_of
from medcsp_model.evaluation.ablation.trials import Ground, Trials
from medcsp_model.evaluation.planted.folder import write_planted
from medcsp_model.evaluation.planted.recipe import Size, at_planted_size
from medcsp_model.evaluation.planted.world import WorldSettings, make_world
from medcsp_model.evaluation.zero_shot_report import NothingToTellError
from medcsp_model.settings import AblationSettings, Settings, default
from medcsp_model.train import STOPPED, Stop
from medcsp_model.trainer import StoppedError

log = logging.getLogger(__name__)
KEYS = ("corpus", "output", "trials", "settings", "recipe", "zero_shot", "training_code", "measuring_code")
CORPUS, PLANTED = "pretrain_corpus", "planted"
WORLD_SEED = 100
"""Of the planted patients, the same for all seeds of training, so that differences are paired by patient too."""
DONE = "done: "
"""Before variant, data set and seed of a trial that is done, in the log."""


def corpus_ground(
    folder: str | Path, *, recipe: Settings, settings: AblationSettings, films: FilmBench | None
) -> Ground:
    """The training corpus without its validation subjects, who are measured, and the films that are classified."""
    base = recipe.replace(
        batch={
            "size": settings.batch_size or recipe.batch.size,
            "validation_share": settings.validation_share,
        },
        optimiser={"steps": settings.steps or recipe.optimiser.steps},
        run={"validate_every": 0, "num_threads": settings.num_threads or recipe.run.num_threads},
    )
    corpus = Corpus.open(folder)
    return Ground(CORPUS, corpus, bench_of_corpus(corpus, settings=base.batch), base, films)


@contextmanager
def planted_ground(folder: Path, *, settings: AblationSettings) -> Iterator[Ground]:
    """Planted records in a folder that goes with them; the same settings give the same ones."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    world = make_world(WorldSettings(num_patients=settings.planted_patients), seed=WORLD_SEED)
    base = at_planted_size(default(), size=Size(steps=settings.planted_steps), seed=0, schedule=default())
    yield Ground(PLANTED, write_planted(world, folder / "corpus"), bench_of_world(world), base)
    shutil.rmtree(folder)


def ablate(run: Mapping[str, Any], *, settings: AblationSettings, recipe: Settings, stop: Stop) -> None:
    """Run what is missing and write the files described above."""
    trials = Trials(Path(run["trials"]), run["training_code"], run["measuring_code"], should_stop=stop)
    output = Path(run["output"])
    numbers: dict[str, list[Row]] = {"metrics": [], "comparisons": [], "trials": []}
    reason = ""
    if settings.variants:
        films, reason = _films(run["zero_shot"])
        ground = corpus_ground(run["corpus"], recipe=recipe, settings=settings, films=films)
        _add(numbers, trials, ground, settings.variants, settings)
    if settings.planted_variants:
        with planted_ground(output / PLANTED, settings=settings) as ground:
            _add(numbers, trials, ground, settings.planted_variants, settings)
    output.mkdir(parents=True, exist_ok=True)
    for name, rows in numbers.items():
        write_json(output / f"{name}.json", rows)
    write_json(output / "not_measured.json", {"zero_shot": reason} if reason else {})


def _films(asked: Mapping[str, Any] | None) -> tuple[FilmBench | None, str]:
    """The films that are classified, or why those that were asked for cannot be told apart."""
    try:
        return (FilmBench.open(asked) if asked is not None else None), ""
    except NothingToTellError as error:
        log.warning("zero-shot classification is not measured: %s", error)
        return None, str(error)


def _add(
    numbers: dict[str, list[Row]],
    trials: Trials,
    ground: Ground,
    variants: tuple[str, ...],
    settings: AblationSettings,
) -> None:
    values: dict[str, dict[int, Values]] = {variant: {} for variant in variants}
    for seed in settings.seeds:
        for variant in variants:
            trial = trials.run(ground, variant, seed)
            values[variant][seed] = trial.values
            numbers["trials"].append({**trial.facts, "folder": str(trial.checkpoint)})
            log.info("%s%s: %s, seed %d", DONE, variant, ground.name, seed)
    metrics, comparisons = rows_of(ground.name, ground.measures(), values, num_draws=settings.num_draws)
    numbers["metrics"] += metrics
    numbers["comparisons"] += comparisons


def main() -> int:
    """Run the command; the exit status is 0, 2 for an error the user can repair, or 143 after SIGTERM or ^C."""
    stop = Stop()
    stop.heed_signals()
    run = read_run(__doc__, KEYS)
    settings, recipe = AblationSettings.from_json(run["settings"]), Settings.from_json(run["recipe"])
    try:
        ablate(run, settings=settings, recipe=recipe, stop=stop)
    except StoppedError as stopped:
        print(stopped, flush=True)
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
