"""Train small models: `python -m medcsp_model.small_models --settings run.json` trains one of each family asked for.

run.json: {"corpus", "source", "studies", "vocabulary", "output", "settings"}; settings as in
`medcsp_model.settings.SmallModels`, `corpus` the pre-training corpus, `source` its films, `vocabulary` a folder with
vocab.txt, and `studies` a JSON file, study_id to {"whole", "findings", "impression", "labels"}: the report, two
parts of it (empty where it has none), and 14 labels of 1, 0, -1 (unsure) or null. In `output`, a folder for each model:
`small.json`, `model.safetensors`, `vocab.txt` and, last, `done.json`; one that has it is not trained again.
"""

import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medcsp_model.baselines.radiology.small import (
    CONTEXT,
    FILE,
    WEIGHTS,
    build_small,
    describe,
    info_nce,
    semantic_matching,
)
from medcsp_model.baselines.radiology.words import TextTokenizer
from medcsp_model.checkpoint import file_sha256, write_json, write_tensors
from medcsp_model.command import read_run, start
from medcsp_model.corpus import Corpus, Image
from medcsp_model.settings import SmallModels
from medcsp_model.towers import count_parameters

log = logging.getLogger(__name__)
KEYS = ("corpus", "source", "studies", "vocabulary", "output", "settings")
DONE = "done.json"
NUM_LABELS = 14
LOG_EVERY = 50
Objective = Callable[[Any, "Studies", NDArray[np.int64], np.random.Generator], Tensor]


@dataclass(frozen=True)
class Studies:
    """Studies with films and a report.

    Attributes:
        pixels: the image modality.
        records_of: records with pixels of each study.
        whole, findings, impression: texts of each study, the parts empty where it has none.
        label_SN: labels of each study, float32 (S, 14): 1, 0, and 0.5 where unsure.
        tokenizer: of the corpus.
    """

    pixels: Image
    records_of: list[NDArray[np.int64]]
    whole: list[str]
    findings: list[str]
    impression: list[str]
    label_SN: NDArray[np.float32]
    tokenizer: TextTokenizer

    def __len__(self) -> int:
        return len(self.whole)

    def films(self, records: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """Stored pixels, uint8."""
        return torch.from_numpy(self.pixels.pixels(records))

    def film_of(self, study: int, rng: np.random.Generator) -> int:
        """One film of a study."""
        return int(rng.choice(self.records_of[study]))

    def films_of(self, study: int, rng: np.random.Generator) -> list[int]:
        """Two films of a study, the same one twice where it has no other."""
        records = self.records_of[study]
        return [int(record) for record in rng.choice(records, size=2, replace=len(records) < 2)]

    def texts_of(self, study: int) -> tuple[str, str]:
        """Two texts of a study: findings and impression, else the whole report beside the part that there is."""
        parts = [part for part in (self.findings[study], self.impression[study]) if part]
        first, second = (*parts, self.whole[study], self.whole[study])[:2]
        return first, second


def read_studies(run: Mapping[str, Any]) -> Studies:
    """Films and reports of a corpus's source.

    Raises:
        ValueError: no study has both.
    """
    corpus = Corpus.open(run["corpus"])
    source = corpus.sources[run["source"]]
    (pixels,) = (value for value in source.modalities.values() if isinstance(value, Image))
    told = json.loads(Path(run["studies"]).read_text(encoding="utf-8"))
    held = np.flatnonzero(pixels.present)
    order = held[np.argsort(source.study_id[held], kind="stable")]
    ids, first = np.unique(source.study_id[order], return_index=True)
    of_study = dict(zip(ids.tolist(), np.split(order, first[1:]), strict=True))
    chosen = [study for study in sorted(of_study) if str(study) in told]
    if not chosen:
        raise ValueError(f"{run['corpus']}: no study of {run['source']} has films and a report in {run['studies']}")
    texts = [told[str(study)] for study in chosen]
    labels = [[_share(value) for value in text["labels"]] for text in texts]
    return Studies(
        pixels=pixels,
        records_of=[of_study[study].astype(np.int64) for study in chosen],
        whole=[text["whole"] for text in texts],
        findings=[text["findings"] for text in texts],
        impression=[text["impression"] for text in texts],
        label_SN=np.array(labels, dtype=np.float32).reshape(len(chosen), NUM_LABELS),
        tokenizer=TextTokenizer(run["vocabulary"]),
    )


def _share(label: float | None) -> float:
    return 0.0 if label is None else 0.5 if label < 0 else float(label)


def _pairs(family: str) -> Objective:
    def objective(model: Any, data: Studies, studies: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        films = data.films([data.film_of(study, rng) for study in studies.tolist()])
        tokens = data.tokenizer([data.whole[study] for study in studies], CONTEXT[family])
        return info_nce(model.image_features(films), model.text_features(tokens), model.logit_scale)

    return objective


def _apart(model: Any, data: Studies, studies: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
    """Films of some studies, reports of others, and how alike their labels are."""
    others = rng.permutation(len(data))[: len(studies)]
    films = data.films([data.film_of(study, rng) for study in studies.tolist()])
    tokens = data.tokenizer([data.whole[study] for study in others], CONTEXT["medclip_small"])
    left, right = (torch.from_numpy(data.label_SN[chosen]) for chosen in (studies, others))
    alike_KK = torch.nn.functional.normalize(left, dim=1) @ torch.nn.functional.normalize(right, dim=1).T
    return semantic_matching(model.image_features(films), model.text_features(tokens), model.logit_scale, alike_KK)


def _views(model: Any, data: Studies, studies: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
    """Two films and two texts of each study: the mean over the four pairings, and one of each kind among themselves."""
    films = np.array([data.films_of(study, rng) for study in studies.tolist()])
    texts = [data.texts_of(study) for study in studies.tolist()]
    e_I = [model.image_features(data.films(films[:, view])) for view in (0, 1)]
    e_T = [
        model.text_features(data.tokenizer([text[view] for text in texts], CONTEXT["cxr_clip_small"]))
        for view in (0, 1)
    ]
    scale = model.logit_scale
    across = [info_nce(image, text, scale) for image in e_I for text in e_T]
    return torch.stack(across).mean() + info_nce(e_I[0], e_I[1], scale) + info_nce(e_T[0], e_T[1], scale)


def _words(model: Any, data: Studies, studies: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
    films = data.films([data.film_of(study, rng) for study in studies.tolist()])
    found: Tensor = model.loss(
        films, data.tokenizer([data.whole[study] for study in studies], CONTEXT["llava_med_small"])
    )
    return found


OBJECTIVES: dict[str, Objective] = {
    "clip_small": _pairs("clip_small"),
    "biomedclip_small": _pairs("biomedclip_small"),
    "medclip_small": _apart,
    "cxr_clip_small": _views,
    "llava_med_small": _words,
}
"""Loss of some studies under each family's objective."""


def batches(num_studies: int, *, size: int, steps: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Studies of every step, all of them once before any comes again."""
    waiting = np.zeros(0, dtype=np.int64)
    for _ in range(steps):
        while len(waiting) < min(size, num_studies):
            waiting = np.concatenate([waiting, rng.permutation(num_studies)])
        chosen, waiting = waiting[:size], waiting[size:]
        yield np.unique(chosen)


def train_small(family: str, data: Studies, folder: Path, *, settings: SmallModels) -> dict[str, Any]:
    """Train one model and write its folder; returns what done.json says."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    vocab_size = data.tokenizer.inner.get_vocab_size()
    model = build_small(family, vocab_size=vocab_size, embed_dim=settings.embed_dim).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.lr, total_steps=settings.steps, pct_start=0.1)
    losses = []
    for step, studies in enumerate(
        batches(len(data), size=settings.batch_size, steps=settings.steps, rng=rng), start=1
    ):
        loss = OBJECTIVES[family](model, data, studies, rng)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if step % LOG_EVERY == 0 or step == settings.steps:
            log.info("%s step %d of %d: loss %.4f", family, step, settings.steps, losses[-1])
    part = max(1, len(losses) // 10)
    folder.mkdir(parents=True, exist_ok=True)
    digest = write_tensors(folder / WEIGHTS, model.state_dict())
    (folder / FILE).write_text(describe(family, vocab_size=vocab_size, embed_dim=settings.embed_dim))
    return {
        "method": family,
        "num_steps": settings.steps,
        "batch_size": settings.batch_size,
        "num_studies": len(data),
        "num_parameters": count_parameters(model),
        "first_loss": float(np.mean(losses[:part])),
        "last_loss": float(np.mean(losses[-part:])),
        "model_sha256": digest,
    }


def train_all(run: Mapping[str, Any]) -> None:
    """Train what is asked for and not there yet, and write small_models.json with a row for each."""
    settings, output = SmallModels.from_json(run["settings"]), Path(run["output"])
    if settings.num_threads:
        torch.set_num_threads(settings.num_threads)
    data, rows = read_studies(run), []
    for family in settings.methods:
        folder = output / family
        if not (folder / DONE).is_file():
            done = train_small(family, data, folder, settings=settings)
            shutil.copy(Path(run["vocabulary"]) / "vocab.txt", folder)
            write_json(folder / DONE, done)
        rows.append(json.loads((folder / DONE).read_text()))
        assert rows[-1]["model_sha256"] == file_sha256(folder / WEIGHTS), f"{folder}: its weights were changed"
    write_json(output / "small_models.json", rows)


def main() -> int:
    """Run the command; the exit status is 0, or 2 for an error the user can repair."""
    train_all(read_run(__doc__, KEYS))
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
