"""Draw: `python -m medcsp_model.case_studies --settings run.json` says what embeddings of several models look like.

run.json: {"corpus", "output", "checkpoints", "settings"}: `checkpoints` by name of the model, all trained without the
validation subjects of `settings`. In `output`:

    numbers.json    rows of method, cohort, metric, k, value, ci_low, ci_high, n
    points.json     rows of figure, method, projection, point, case, code_index, source, modality, x, y; nobody's id

What the numbers mean, `medcsp_model.evaluation.case_studies` says.
"""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

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
    choose_diagnoses,
    choose_patients,
    embed_points,
    numbers_of,
    project,
    unseen_points,
)
from medcsp_model.settings import BatchSettings, read_settings

log = logging.getLogger(__name__)
KEYS = ("corpus", "output", "checkpoints", "settings")
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CaseStudySettings:
    """What is drawn.

    Attributes:
        validation_share: share of the subjects that no model saw.
        validation_seed: of the draw of them.
        max_points: most points of all subjects behind the numbers.
        per_case: most points of a patient or diagnosis in a drawing.
        projections: `tsne` and `umap`.
        seed: of the projections.
        num_draws: bootstrap draws of subjects.
        num_threads: CPU threads of the embedding; 0 takes torch's own choice.
    """

    validation_share: float
    validation_seed: int = 0
    max_points: int = 5000
    per_case: int = 60
    projections: tuple[str, ...] = ("tsne", "umap")
    seed: int = 0
    num_draws: int = 1000
    num_threads: int = 0

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Settings from plain values; ValueError names an unknown key or a value that cannot be."""
        if "validation_share" not in values:
            raise ValueError("settings.validation_share: say which share of the subjects no model saw")
        settings = read_settings(cls, values)
        if unknown := sorted(set(settings.projections) - {"tsne", "umap"}):
            raise ValueError(f"settings.projections: no {unknown[0]!r}; known: tsne, umap")
        if min(settings.max_points, settings.per_case, settings.num_draws) < 1:
            raise ValueError("settings: max_points, per_case and num_draws must be at least 1")
        return settings

    @property
    def held_out(self) -> BatchSettings:
        """The validation subjects, as training names them."""
        return BatchSettings(validation_share=self.validation_share, validation_seed=self.validation_seed)


def study(corpus: Corpus, checkpoints: dict[str, str], *, settings: CaseStudySettings) -> tuple[list[Row], list[Row]]:
    """Numbers and points of every model; points and cases are the same for all."""
    embedders = {
        name: Embedder(folder, corpus, num_threads=settings.num_threads) for name, folder in checkpoints.items()
    }
    first = next(iter(embedders.values()))
    modalities = {source: first.modalities(source) for source in corpus.sources}
    held_out = settings.held_out
    points = unseen_points(corpus, modalities, settings=held_out, max_points=settings.max_points, seed=settings.seed)
    figures = {
        PATIENTS: choose_patients(points, per_case=settings.per_case),
        DIAGNOSES: choose_diagnoses(points, corpus, per_case=settings.per_case),
    }
    bench = bench_of_corpus(corpus, settings=held_out)
    numbers, drawn = [], []
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


def main() -> int:
    """Run the command; the exit status is 0, or 2 for an error the user can repair."""
    run = read_run(KEYS)
    settings = CaseStudySettings.from_json(run["settings"])
    numbers, points = study(Corpus.open(run["corpus"]), run["checkpoints"], settings=settings)
    output = Path(run["output"])
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "numbers.json", numbers)
    write_json(output / "points.json", points)
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
