"""Three sources, any modalities of which a record lacks: one corpus from plan to embeddings, its names meaningless."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from medcsp_model.batches import PlanInputs, make_plan
from medcsp_model.collate import Collate
from medcsp_model.corpus import CorpusWriter
from medcsp_model.embed import Embedder, embed_corpus
from medcsp_model.linked import link_rows, linked_in_batch
from medcsp_model.losses import compute_losses, record_means
from medcsp_model.model import MedCSP, ModelDescription
from medcsp_model.settings import BatchSettings, Settings, default, paper
from medcsp_model.trainer import Trainer

PACKAGE = Path(__file__).resolve().parents[2] / "medcsp_model"
CODES = 9
PRESENT = {"blocks": 0.7, "vector": 0.6, "curve": 0.5, "words": 0.6, "picture": 0.7, "tale": 0.5, "view": 0.8}


def csr(rows):
    return np.cumsum([0, *map(len, rows)]), np.array([value for row in rows for value in row], dtype=np.int64)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """`north` has codes, a vector and a series, `east` a text and an image, `west` likewise; `west` shares no patient
    with `north`. Each modality is absent from many records, in every combination."""
    folder = tmp_path_factory.mktemp("three")
    rng = np.random.default_rng(5)
    writer = CorpusWriter(folder / "corpus", name="three", synthetic=True, splits=["train"], history_size=CODES)
    subject = {"north": np.arange(40) // 2, "east": np.arange(60) // 3, "west": 12 + np.arange(30) // 2}
    add_records(writer, subject, rng)
    north = len(subject["north"])
    blocks = [
        sorted(set(rng.integers(0, CODES, size=3))) if rng.random() < PRESENT["blocks"] else [] for _ in range(north)
    ]
    indptr, indices = csr(blocks)
    writer.add_codes("north", "blocks", indptr=indptr, indices=indices, size=CODES)
    present = rng.random(north) < PRESENT["vector"]
    writer.add_dense("north", "vector", values=rng.normal(size=(north, 4)) * present[:, None], present=present)
    stays = rng.integers(0, 3, size=north)
    cells = rng.integers(0, 3, size=stays.sum())
    total = cells.sum()
    writer.add_series(
        "north",
        "curve",
        stay_indptr=np.cumsum([0, *stays]),
        cell_indptr=np.cumsum([0, *cells]),
        bin=rng.integers(0, 4, size=total),
        feature=rng.integers(0, 3, size=total),
        value=rng.normal(size=total),
        size=3,
        num_bins=4,
        max_stays=2,
    )
    for source, words, picture in (("east", "words", "picture"), ("west", "tale", "view")):
        add_text_and_image(writer, folder, source, words, picture, len(subject[source]), rng)
    for s, t in (("north", "east"), ("east", "west")):
        same = np.nonzero(subject[s][:, None] == subject[t][None, :])
        kept = rng.random(len(same[0])) < 0.8
        writer.add_links(s, t, s_records=same[0][kept], t_records=same[1][kept], gap_days=np.zeros(kept.sum()))
    return writer.finish()


def add_records(writer, subject, rng):
    histories = [sorted(set(rng.integers(0, CODES, size=rng.integers(0, 4)))) for _ in range(40)]
    for name, who in subject.items():
        indptr, indices = csr([histories[one] for one in who])
        writer.add_source(
            name,
            record_id=[f"{number:03d}" for number in range(len(who))],
            subject_id=who,
            study_id=np.arange(len(who)) // 2,
            time_days=np.zeros(len(who)),
            split=np.zeros(len(who)),
            history_indptr=indptr,
            history_indices=indices,
        )


def add_text_and_image(writer, folder, source, words, picture, count, rng):
    texts = [[1, *rng.integers(3, 20, size=rng.integers(1, 9)), 2] for _ in range(count)]
    offsets, tokens = csr(texts)
    row = np.where(rng.random(count) < PRESENT[words], np.arange(count), -1)
    writer.add_text(source, words, row=row, offsets=offsets, tokens=tokens, size=20, pad_id=0)
    shard = folder / f"{source}.npy"
    np.save(shard, rng.integers(0, 255, size=(count, 32, 32), dtype=np.uint8))
    held = rng.random(count) < PRESENT[picture]
    places = np.where(held, np.arange(count), -1)
    writer.add_images(source, picture, shard=np.where(held, 0, -1), row=places, shards=[shard], size=32)


def small(recipe):
    plain = recipe.to_json()
    plain["model"] |= {"embed_dim": 8, "hidden_dim": 4}
    plain["model"]["image"] |= {"timm_model_name": "test_convnext", "image_size": 32}
    plain["model"]["text"] |= {
        "vocab_size": 0,
        "width": 8,
        "num_layers": 1,
        "num_heads": 2,
        "mlp_width": 8,
        "pad_to": 4,
    }
    plain["batch"] |= {"size": 12, "split": "train", "validation_share": 0.2}
    plain["optimiser"] |= {"steps": 3}
    plain["run"] |= {"num_threads": 1, "log_every": 1, "validate_every": 3, "precision": "float32"}
    return Settings.from_json(plain)


def test_records_lack_modalities_in_every_combination(corpus):
    for source in corpus.sources.values():
        present = np.stack([modality.present for modality in source.modalities.values()], axis=1)
        assert {tuple(row) for row in present.tolist()} == set(
            itertools.product([False, True], repeat=present.shape[1])
        )


@pytest.mark.parametrize("anchor", ["", "north", "west"])
@pytest.mark.parametrize("plan", ["linked", "random"])
def test_batches_take_each_anchor_once_and_link_what_is_linked(corpus, anchor, plan):
    inputs = PlanInputs.from_corpus(corpus, split="train")
    made = make_plan(inputs, settings=BatchSettings(plan=plan, size=10, anchor=anchor), seed=1)
    name = anchor or "east"
    assert made.anchor == name
    seen = np.concatenate([made.batch(step)[name] for step in range(made.num_anchors // 10)])
    assert len(np.unique(seen)) == len(seen)
    for step in range(8):
        batch = made.batch(step)
        assert list(batch) == ["north", "east", "west"]
        assert all(len(np.unique(rows)) == len(rows) == 10 for rows in batch.values())
        if plan == "linked":
            for pair, links in inputs.links.items():
                if name in pair:
                    mask = linked_in_batch(batch, pair, link_rows(corpus.sources[pair[0]].num_records, *links))
                    assert mask.any(1).sum() >= 3


@pytest.mark.parametrize("recipe", [paper, default])
def test_both_recipes_train_and_embed(corpus, tmp_path, recipe):
    settings = small(recipe())
    done = Trainer(corpus, settings=settings, folder=tmp_path / "run").run()
    assert all(np.isfinite(done[key]) and done[key] > 0 for key in ("loss_a", "loss_p", "loss_d"))
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {key for key in last if "recall" in key} == {"east_recall_at_10", "west_recall_at_10"}
    embed_corpus(Embedder(tmp_path / "run", corpus), tmp_path / "out", batch_size=16, sources=None, splits=None)
    for name, source in corpus.sources.items():
        means = np.load(tmp_path / "out" / f"{name}.npy")
        anything = np.stack([modality.present for modality in source.modalities.values()]).any(0)
        counts = anything if recipe is default else np.ones(len(anything))
        np.testing.assert_allclose(np.linalg.norm(means, axis=1), counts, atol=1e-5)
        for key, modality in source.modalities.items():
            each = np.load(tmp_path / "out" / f"{name}__{key}.npy")
            np.testing.assert_allclose(np.linalg.norm(each, axis=1), modality.present, atol=1e-5)


def test_what_a_record_lacks_changes_nothing_of_it(corpus):
    """Under masks a record's mean and its losses are those of the modalities it has."""
    torch.manual_seed(0)
    model = MedCSP(ModelDescription.of_corpus(corpus, settings=small(default()))).eval()
    collate = Collate(corpus, device=torch.device("cpu"), pad_to=4, context_length=16)
    records = {"north": np.arange(12), "east": np.arange(18), "west": np.arange(10)}
    batch = collate(records)
    with torch.no_grad():
        embedded = model(batch)
    for name, source in embedded.items():
        for row in range(len(records[name])):
            held = source.present_NM[row]
            mean = source.e_NMD[row][held].mean(0) if held.any() else torch.zeros(8)
            torch.testing.assert_close(record_means(source)[0][row], mean)
        assert not source.e_NMD[~source.present_NM].any()
    before = compute_losses(embedded, batch.linked, settings=default().loss)
    for source in embedded.values():
        source.e_NMD[~source.present_NM] = 1e3
    after = compute_losses(embedded, batch.linked, settings=default().loss)
    assert float(before.total) == pytest.approx(float(after.total), rel=1e-6)
    assert float(before.p) > 0
    assert float(before.d) > 0


def test_the_losses_add_sources_and_average_pairs(corpus):
    torch.manual_seed(0)
    model = MedCSP(ModelDescription.of_corpus(corpus, settings=small(default()))).eval()
    collate = Collate(corpus, device=torch.device("cpu"), pad_to=4, context_length=16)
    batch = collate({"north": np.arange(12), "east": np.arange(18), "west": np.arange(10)})
    with torch.no_grad():
        embedded = model(batch)

    def losses(*names):
        linked = {pair: mask for pair, mask in batch.linked.items() if set(pair) <= set(names)}
        return compute_losses({name: embedded[name] for name in names}, linked, settings=default().loss)

    whole = losses(*embedded)
    pairs = [losses(*pair) for pair in itertools.combinations(embedded, 2)]
    assert float(whole.a) == pytest.approx(sum(float(losses(name).a) for name in embedded), rel=1e-5)
    assert float(whole.d) == pytest.approx(np.mean([float(pair.d) for pair in pairs]), rel=1e-5)
    linked = [
        float(pair.p)
        for pair, names in zip(pairs, itertools.combinations(embedded, 2), strict=True)
        if names in batch.linked
    ]
    assert len(linked) == 2
    assert float(whole.p) == pytest.approx(np.mean(linked), rel=1e-5)


def test_nothing_but_a_corpus_names_a_source():
    names = re.compile(r"\b(ehr|cxr|mimic\w*|open_i)\b", re.IGNORECASE)
    ours = list(PACKAGE.glob("*.py"))
    assert len(ours) > 15
    found = {path.name: names.findall(path.read_text()) for path in ours}
    assert not {name: words for name, words in found.items() if words}
