"""A small evaluation set of planted images, with words and prompts of its own, as a run description names them."""

from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcsp_model.corpus import CorpusWriter, write_films

SPLIT, DATASET, COHORT = "zero_shot_x", "x", "ill_or_well"
HEADLINE = (
    'name = "short"\nfinding = "ill"\npooling = "mean_embedding"\npositive = ["{}"]\nnegative = ["a clear lung"]\n'
)


def write_film_set(folder: Path, pixels: NDArray[np.uint8], label: list[bool | None]) -> dict[str, Any]:
    """Films of one patient each but the first two, who are one; returns what a run calls `zero_shot`."""
    count, size = len(pixels), pixels.shape[1]
    writer = CorpusWriter(folder / "films", name="films", synthetic=True, splits=[SPLIT], history_size=1)
    ids = [f"f{number:02d}" for number in range(count)]
    none = {"time_days": np.full(count, np.nan), "split": np.zeros(count), "history_indptr": np.zeros(count + 1)}
    subject = np.maximum(np.arange(count), 1)
    writer.add_source("x", record_id=ids, subject_id=subject, study_id=np.arange(count), **none, history_indices=[])
    np.save(folder / "pixels.npy", pixels)
    shards = [folder / "pixels.npy"]
    writer.add_images("x", "image", shard=np.zeros(count), row=np.arange(count), shards=shards, size=size)
    writer.finish()
    unknown = dict.fromkeys(("view", "sex", "age_group", "origin"), [None] * count)
    absent = {"path": ids, "text": [-1] * count, "mask": [-1] * count}
    films = {"record_id": ids, **unknown, "label": label, **absent}
    write_films(folder / "films", films=films, texts={"whole": [], "summary": []}, masks=None)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *ascii_lowercase, *(f"##{letter}" for letter in ascii_lowercase)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    write_prompt(folder, "ground glass")
    return {
        "corpus": str(folder / "films"),
        "dataset": DATASET,
        "cohort": COHORT,
        "vocabulary": str(folder),
        "prompts": str(folder / "prompts"),
        "headline": "short",
        "raw_towers": False,
    }


def write_prompt(folder: Path, positive: str) -> None:
    """The one prompt set."""
    (folder / "prompts" / DATASET).mkdir(parents=True, exist_ok=True)
    (folder / "prompts" / DATASET / "short.toml").write_text(HEADLINE.format(positive))
