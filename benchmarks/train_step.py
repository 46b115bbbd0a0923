"""One training step at small size on the CPU against the released loop's way of working: same weights, batch and loss.

The other side is written here from what is known of that loop: anomaly detection on, every text tokenised on the main
process and padded to 256, codes and readings made dense record by record, every record padded to three stays (whose
mean holds the padded ones on both sides), one float32 three-channel file an image, a Python double loop for
same-patient labels, siblings' shared text encoded again for each, AdamW as torch makes it. Both sides run the same
losses in float32, interleaved and in turn the first; the optimisers do all their work at a learning rate of 0, so that
the weights stay those of both. A ratio is the median of those of nine batches, in CPU seconds.

Towers are those of the demo; with `--towers vit` a small ViT at the paper's 224 pixels and a BERT as deep. Images cost
both sides the same, so the ratio falls as their tower grows.

Prints one JSON object: towers, ratio (collate and compute), ratio_compute, seconds_ours, seconds_released,
loss_difference.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from medcsp_model.batches import PlanInputs, make_plan
from medcsp_model.collate import Batch, Collate, Inputs, SourceBatch
from medcsp_model.corpus import Corpus, CorpusWriter, ragged
from medcsp_model.losses import compute_losses
from medcsp_model.model import MedCSP, ModelDescription
from medcsp_model.settings import Settings, demo, paper
from medcsp_model.trainer import make_optimiser

NUM_PATIENTS, IMAGES_PER_STUDY, BATCH, REPEATS = 60, 2, 32, 9
CODES, FEATURES, BINS, WORDS, LENGTH, PADDED, SIZE = 1000, 300, 48, 900, 120, 256, 224
WORD = [f"w{number}" for number in range(WORDS)]
DEVICE = torch.device("cpu")
TOWERS: dict[str, dict[str, Any]] = {
    "demo": {},
    "vit": {
        "image": {"timm_model_name": "test_vit", "pool": "token", "image_size": SIZE},
        "text": {"num_layers": 6},
    },
}


def tokenizer() -> Tokenizer:
    made = Tokenizer(
        models.WordPiece({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3} | {w: 4 + n for n, w in enumerate(WORD)})
    )
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.enable_truncation(PADDED)
    return made


def write_corpus(
    folder: Path, rng: np.random.Generator, *, num_patients: int = NUM_PATIENTS, num_words: int = LENGTH
) -> tuple[Corpus, dict[str, list[str]]]:
    """A corpus of patients with one admission and one study each; and the raw texts behind it."""
    writer = CorpusWriter(folder / "corpus", name="bench", synthetic=True, splits=["pretrain"], history_size=CODES)
    images = num_patients * IMAGES_PER_STUDY
    texts = {
        name: [" ".join(rng.choice(WORD, size=num_words)) for _ in range(num_patients)] for name in ("note", "report")
    }
    for source, count in (("ehr", num_patients), ("cxr", images)):
        subject = np.arange(count) * num_patients // count
        lengths = rng.integers(5, 30, size=count)
        writer.add_source(
            source,
            record_id=[f"{number:05d}" for number in range(count)],
            subject_id=subject,
            study_id=subject,
            time_days=np.zeros(count),
            split=np.zeros(count),
            history_indptr=np.cumsum([0, *lengths]),
            history_indices=rng.integers(0, CODES, size=lengths.sum()),
        )
    for name in ("diagnosis", "drug"):
        lengths = rng.integers(5, 30, size=num_patients)
        indices = rng.integers(0, CODES, size=lengths.sum())
        writer.add_codes("ehr", name, indptr=np.cumsum([0, *lengths]), indices=indices, size=CODES)
    present = np.ones(num_patients, dtype=bool)
    writer.add_dense("ehr", "demographics", values=rng.normal(size=(num_patients, 70)), present=present)
    stays = rng.integers(1, 4, size=num_patients)
    cells = rng.integers(500, 2000, size=stays.sum())
    drawn = np.concatenate([rng.choice(BINS * FEATURES, size=count, replace=False) for count in cells])
    writer.add_series(
        "ehr",
        "series",
        stay_indptr=np.cumsum([0, *stays]),
        cell_indptr=np.cumsum([0, *cells]),
        bin=drawn // FEATURES,
        feature=drawn % FEATURES,
        value=np.ones(cells.sum()),
        size=FEATURES,
        num_bins=BINS,
        max_stays=3,
    )
    shard = folder / "pixels.npy"
    np.save(shard, rng.integers(0, 255, size=(images, SIZE, SIZE), dtype=np.uint8))
    writer.add_images("cxr", "image", shard=np.zeros(images), row=np.arange(images), shards=[shard], size=SIZE)
    words = tokenizer()
    for source, name, row in (
        ("ehr", "note", np.arange(num_patients)),
        ("cxr", "report", np.arange(images) // IMAGES_PER_STUDY),
    ):
        tokens = [encoding.ids for encoding in words.encode_batch(texts[name])]
        offsets = np.cumsum([0, *(len(ids) for ids in tokens)])
        writer.add_text(source, name, row=row, offsets=offsets, tokens=np.concatenate(tokens), size=WORDS + 4, pad_id=0)
    pairs = np.arange(images)
    writer.add_links("ehr", "cxr", s_records=pairs // IMAGES_PER_STUDY, t_records=pairs, gap_days=np.zeros(images))
    for number, pixels in enumerate(np.load(shard)):
        np.save(folder / f"{number}.npy", np.repeat(pixels[None].astype(np.float32) / 255, 3, axis=0))
    return writer.finish(), texts


def released_collate(
    corpus: Corpus, texts: dict[str, list[str]], folder: Path, records: dict[str, np.ndarray]
) -> Batch:
    """The batch as the released loop makes it: record by record, on the main process."""
    words = tokenizer()
    words.enable_padding(length=PADDED)
    sources = {}
    for name, rows in records.items():
        source = corpus.sources[name]
        inputs: dict[str, Inputs] = {}
        everything = torch.arange(len(rows))
        for key, values in source.modalities.items():
            kind = corpus.meta["sources"][name]["modalities"][key]["kind"]
            index = torch.empty(0, dtype=torch.int64)
            if kind == "codes":
                x = torch.stack([one_hot(values, row) for row in rows])
            elif kind == "dense":
                x = torch.stack([torch.from_numpy(values.values[row]) for row in rows])
            elif kind == "text":
                ids = [words.encode(texts[key][values.row[row]]).ids for row in rows]
                x, index = torch.tensor(ids), everything
            elif kind == "image":
                images = torch.stack([torch.from_numpy(np.load(folder / f"{row}.npy")) for row in rows])
                x = (images[:, 0] * 255).round().to(torch.uint8)
            else:
                x = torch.cat([three_stays(values, row) for row in rows])
                index = everything.repeat_interleave(values.max_stays)
            inputs[key] = Inputs(kind, everything, x, index)
        sources[name] = SourceBatch(
            rows,
            torch.from_numpy(source.subject_id[rows]),
            torch.from_numpy(source.study_id[rows]),
            torch.full((len(rows),), -1),
            torch.stack([one_hot(source.history, row) for row in rows]),
            inputs,
        )
    subject = {name: corpus.sources[name].subject_id[rows] for name, rows in records.items()}
    same = torch.zeros(len(records["ehr"]), len(records["cxr"]), dtype=torch.bool)
    for i in range(same.shape[0]):
        for j in range(same.shape[1]):
            same[i, j] = bool(subject["ehr"][i] == subject["cxr"][j])
    return Batch(sources, {("ehr", "cxr"): same})


def one_hot(codes, row) -> torch.Tensor:
    dense = np.zeros(codes.size, dtype=np.float32)
    dense[codes.indices[codes.indptr[row] : codes.indptr[row + 1]]] = 1
    return torch.from_numpy(dense)


def dense_stay(series, stay) -> torch.Tensor:
    _, cells = ragged(series.cell_indptr, [stay])
    dense = np.zeros((series.num_bins, series.size), dtype=np.float32)
    dense[series.bin[cells], series.feature[cells]] = series.value[cells]
    return torch.from_numpy(dense)


def three_stays(series, row) -> torch.Tensor:
    """Always as many stays, absent ones all zeros."""
    stays = [dense_stay(series, stay) for stay in range(*series.stay_indptr[row : row + 2])]
    return torch.stack(stays + [torch.zeros_like(stays[0])] * (series.max_stays - len(stays)))


def settings(towers: str = "demo") -> Settings:
    """Small sizes and the paper's losses, without dropout so that both sides have one loss."""
    small = demo().to_json()
    small["loss"] = paper().to_json()["loss"]
    small["model"]["head_dropout"] = 0.0
    small["model"]["average_padded_stays"] = True
    small["augmentation"] = dict.fromkeys(small["augmentation"], 0.0)
    for name, sizes in TOWERS[towers].items():
        small["model"][name] |= sizes
    return Settings.from_json(small)


def compute(model: MedCSP, batch: Batch, optimiser: torch.optim.Optimizer, *, anomaly: bool) -> float:
    with torch.autograd.set_detect_anomaly(anomaly):
        optimiser.zero_grad()
        losses = compute_losses(model(batch), batch.linked, settings=model.description.settings.loss)
        losses.total.backward()
        optimiser.step()
    return float(losses.total.detach())


def cpu_seconds(action: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    answer = action()
    return time.process_time() - start, answer


def measure(recipe: Settings) -> dict[str, float]:
    """Both sides on the same batches in turn; the first batch warms up."""
    with tempfile.TemporaryDirectory() as name:
        corpus, texts = write_corpus(Path(name), np.random.default_rng(0))
        torch.manual_seed(0)
        model = MedCSP(ModelDescription.of_corpus(corpus, settings=recipe))
        still = recipe.replace(optimiser={"lr": 0.0, "tower_lr": 0.0}).optimiser
        plain = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=1e-8)
        optimisers = {"ours": make_optimiser(model, settings=still), "released": plain}
        collate = Collate(corpus, device=DEVICE, pad_to=recipe.model.text.pad_to, context_length=512)
        inputs = PlanInputs.from_corpus(corpus, split="pretrain")
        plan = make_plan(inputs, settings=recipe.batch, seed=0)
        times: dict[str, list[float]] = {"ours": [], "ours_compute": [], "released": [], "released_compute": []}
        difference, losses = 0.0, {}
        for repeat in range(REPEATS + 1):
            records = plan.batch(repeat)
            seconds = {}
            for side in ("ours", "released") if repeat % 2 else ("released", "ours"):
                if side == "ours":
                    seconds[side], batch = cpu_seconds(lambda r=records: collate(r))
                else:
                    seconds[side], batch = cpu_seconds(lambda r=records: released_collate(corpus, texts, Path(name), r))
                step, anomaly = optimisers[side], side == "released"
                took, losses[side] = cpu_seconds(lambda b=batch, s=step, a=anomaly: compute(model, b, s, anomaly=a))
                seconds[f"{side}_compute"] = took
                seconds[side] += took
            difference = max(difference, abs(losses["ours"] - losses["released"]))
            if repeat:
                for key, value in seconds.items():
                    times[key].append(value)
    return {
        "ratio": round(ratio(times["released"], times["ours"]), 2),
        "ratio_compute": round(ratio(times["released_compute"], times["ours_compute"]), 2),
        "seconds_ours": round(float(np.median(times["ours"])), 4),
        "seconds_released": round(float(np.median(times["released"])), 4),
        "loss_difference": difference,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--towers", choices=sorted(TOWERS), default="demo")
    towers = parser.parse_args().towers
    torch.set_num_threads(1)
    print(json.dumps({"towers": towers, **measure(settings(towers))}))


def ratio(slow: list[float], fast: list[float]) -> float:
    return float(np.median(np.array(slow) / np.array(fast)))


if __name__ == "__main__":
    main()
