"""Draw: `python -m medcsp_model.case_studies --settings run.json` says what embeddings of several models look like.

run.json: {"corpus", "output", "checkpoints", "held_out", "settings"}: `checkpoints` by name of the model, all trained
without the subjects that `held_out` names ({"validation_share", "validation_seed"}, as batches have them), `settings`
as in `medcsp_model.settings.CaseStudySettings`. In `output`:

    numbers.json    rows of method, cohort, metric, k, value, ci_low, ci_high, n; method `chance` needs no model
    points.json     rows of figure, method, projection, point, case, code_index, source, modality, x, y; nobody's id

What the numbers mean, `medcsp_model.evaluation.case_studies` says.
"""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medcsp_model.checkpoint import write_json
from medcsp_model.command import read_run, start
from medcsp_model.corpus import Corpus
from medcsp_model.embed import Embedder
from medcsp_model.evaluation.ablation.bench import bench_of_corpus
from medcsp_model.evaluation.case_studies import (
    DIAGNOSES,
    PATIENTS,
    Cases,
    Points,
    chance_of,
    choose_diagnoses,
    choose_patients,
    embed_points,
    numbers_of,
    project,
    unseen_points,
)
from medcsp_model.settings import BatchSettings, CaseStudySettings, read_settings

log = logging.getLogger(__name__)
KEYS = ("corpus", "output", "checkpoints", "held_out", "settings")
CHANCE = "chance"
Row = dict[str, Any]


def study(
    corpus: Corpus, checkpoints: dict[str, str], *, held_out: BatchSettings, settings: CaseStudySettings
) -> tuple[list[Row], list[Row]]:
    """Numbers and points of every model on subjects that none saw; points and cases are the same for all."""
    embedders = {
        name: Embedder(folder, corpus, num_threads=settings.num_threads) for name, folder in checkpoints.items()
    }
    first = next(iter(embedders.values()))
    modalities = {source: first.modalities(source) for source in corpus.sources}
    points = unseen_points(corpus, modalities, settings=held_out, max_points=settings.max_points, seed=settings.seed)
    figures = {
        PATIENTS: choose_patients(points, per_case=settings.per_case),
        DIAGNOSES: choose_diagnoses(points, corpus, per_case=settings.per_case),
    }
    bench = bench_of_corpus(corpus, settings=held_out)
    numbers: list[Row] = [{"method": CHANCE, **row} for row in chance_of(points, figures)]
    drawn: list[Row] = []
    for name, embedder in embedders.items():
        e_PD = embed_points(embedder, points, batch_size=64)
        found = numbers_of(e_PD, points, figures, embedder=embedder, bench=bench, num_draws=settings.num_draws)
        numbers += [{"method": name, **row} for row in found]
        for figure, cases in figures.items():
            for projection in settings.projections if len(cases.points) >= 4 else ():
                coordinates = project(e_PD[cases.points], projection, seed=settings.seed)
                labels = {"figure": figure, "method": name, "projection": projection}
                drawn += [{**labels, **row} for row in _rows(points, cases, coordinates.tolist())]
        log.info("%s: %d points of %d records", name, len(points), len(set(points.of_record.tolist())))
    return numbers, drawn


def _rows(points: Points, cases: Cases, coordinates: list[list[float]]) -> list[Row]:
    return [
        {
            "point": place,
            "case": int(case) + 1,
            "code_index": cases.codes[case] if cases.codes else None,
            "source": str(points.source[row]),
            "modality": str(points.modality[row]),
            "x": x,
            "y": y,
        }
        for place, (row, case, (x, y)) in enumerate(zip(cases.points, cases.case, coordinates, strict=True))
    ]


def _held_out(values: Mapping[str, Any]) -> BatchSettings:
    if not values.get("validation_share"):
        raise ValueError("held_out.validation_share: say which share of the subjects no model saw")
    return read_settings(BatchSettings, values)


def main() -> int:
    """Run the command; the exit status is 0, or 2 for an error the user can repair."""
    run = read_run(__doc__, KEYS)
    settings, held_out = CaseStudySettings.from_json(run["settings"]), _held_out(run["held_out"])
    numbers, points = study(Corpus.open(run["corpus"]), run["checkpoints"], held_out=held_out, settings=settings)
    output = Path(run["output"])
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "numbers.json", numbers)
    write_json(output / "points.json", points)
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
