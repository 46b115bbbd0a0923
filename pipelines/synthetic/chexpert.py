"""Writes CheXpert: films of train and valid with fourteen labels, in the small layout or in the full one's batches.

Train is labelled by a machine (1, 0, -1 for unsure, nothing), valid by people (1 and 0). Patients have one or two
studies, a study a frontal and sometimes a lateral view; AP/PA is empty for laterals.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.synthetic.films import Strangers, draw_strangers, films, save_image
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.settings import SyntheticSettings
from pipelines.synthetic.xray_labels import CHEXPERT_ORDER, as_printed, observations

FIRST = {"train": 42_000_000, "valid": 43_000_000}
FIRST_PATIENT = {"train": 1, "valid": 64_541}
SMALL, FULL = "CheXpert-v1.0-small", "CheXpert-v1.0"
# Folders of the full release: lists and valid, then the patients of train in turn.
LISTS = "CheXpert-v1.0 batch 1 (validate & csv)"
BATCHES = tuple(f"CheXpert-v1.0 batch {number} (train {number - 1})" for number in (2, 3, 4))
LATERAL_SHARE = 0.3


@dataclass(frozen=True)
class View:
    """One image: row of the study, and its path below the part's folder."""

    study: int
    path: str
    lateral: bool


def write_chexpert(root: Path, *, settings: SyntheticSettings) -> None:
    """Write `settings.num_chexpert` studies of train and as many of valid."""
    small = settings.chexpert_layout == "small"
    lists = root / SMALL if small else root / LISTS
    lists.mkdir(parents=True)
    for part in ("train", "valid"):
        strangers = draw_strangers(settings.num_chexpert, seed=settings.seed, first=FIRST[part])
        random = generator(settings.seed, "chexpert", part)
        views = _views(settings.num_chexpert, FIRST_PATIENT[part], random)
        labels = observations(strangers.findings, random=random, unsure=part == "train")
        name = SMALL if small else FULL
        rows = _rows(views, strangers, labels, f"{name}/{part}", random)
        rows.write_csv(lists / f"{part}.csv")
        if part == "train" and not small:
            for labeler in ("cheXbert", "visualCheXbert"):
                rows.write_csv(root / f"train_{labeler}.csv")
        places = [lists / part / view.path if small or part == "valid" else _place(root, view.path) for view in views]
        drawn = films(
            strangers.findings[[view.study for view in views]],
            lateral=np.array([view.lateral for view in views], dtype=bool),
            names=[f"{part}/{view.path}" for view in views],
            image_size=settings.image_size,
            seed=settings.seed,
        )
        for place, (_, pixels) in zip(places, drawn, strict=True):
            save_image(place, pixels)


def _views(number: int, first_patient: int, random: np.random.Generator) -> list[View]:
    views: list[View] = []
    patient, study = first_patient - 1, 1
    for row in range(number):
        again = row > 0 and study == 1 and random.random() < 0.2
        patient, study = (patient, 2) if again else (patient + 1, 1)
        for turn, lateral in enumerate((False, True)[: 1 + int(random.random() < LATERAL_SHARE)]):
            file = f"view{turn + 1}_{'lateral' if lateral else 'frontal'}.jpg"
            views.append(View(row, f"patient{patient:05d}/study{study}/{file}", lateral))
    return views


def _rows(
    views: list[View], strangers: Strangers, labels: pl.DataFrame, folder: str, random: np.random.Generator
) -> pl.DataFrame:
    rows = np.array([view.study for view in views], dtype=np.int64)
    lateral = [view.lateral for view in views]
    standing = random.random(len(views)) < 0.3
    about = pl.DataFrame(
        {
            "Path": [f"{folder}/{view.path}" for view in views],
            "Sex": np.where(strangers.subjects.female[rows], "Female", "Male").tolist(),
            "Age": strangers.subjects.age[rows],
            "Frontal/Lateral": ["Lateral" if side else "Frontal" for side in lateral],
            "AP/PA": [None if side else "PA" if up else "AP" for side, up in zip(lateral, standing, strict=True)],
        }
    )
    return pl.concat([about, as_printed(labels[rows].select(CHEXPERT_ORDER))], how="horizontal")


def _place(root: Path, path: str) -> Path:
    """Where the full release keeps a training image: patients in three batches, without train/."""
    patient = int(path[len("patient") : path.index("/")])
    return root / BATCHES[patient % len(BATCHES)] / path
