"""Small models of each family: trained by its own objective from files, opened again, resumed where they are there."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from medcsp_model.baselines.radiology.interface import embed_images, embed_texts
from medcsp_model.baselines.radiology.small import (
    CONTEXT,
    Small,
    SmallGenerator,
    build_small,
    info_nce,
    semantic_matching,
)
from medcsp_model.baselines.radiology.words import pad_rows
from medcsp_model.corpus import CorpusWriter
from medcsp_model.small_models import OBJECTIVES, batches, main
from tests.radiology import published


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Every family, trained for a few steps on six studies of one or two films."""
    root = tmp_path_factory.mktemp("small")
    study = np.array([0, 0, 1, 2, 2, 3, 4, 5])
    count = len(study)
    writer = CorpusWriter(root / "corpus", name="x", synthetic=True, splits=["pretrain"], history_size=1)
    ids = {"record_id": [f"r{number}" for number in range(count)], "subject_id": study + 1, "study_id": study + 50}
    none = {"time_days": np.zeros(count), "split": np.zeros(count), "history_indptr": np.zeros(count + 1)}
    writer.add_source("cxr", **ids, **none, history_indices=[])
    pixels = np.zeros((count, 64, 64), dtype=np.uint8)
    for number in range(count):  # a bright square where the study has it
        pixels[number, 8 * study[number] : 8 * study[number] + 16, 8:40] = 200
    np.save(root / "pixels.npy", pixels)
    shards = [root / "pixels.npy"]
    writer.add_images("cxr", "image", shard=np.zeros(count), row=np.arange(count), shards=shards, size=64)
    writer.finish()
    words = ("heart is normal", "no effusion", "clear lungs", "acute effusion", "a b c", "heart is clear")
    told = {
        str(number + 50): {
            "whole": words[number],
            "findings": words[number].split()[0] if number else "",
            "impression": words[number].split()[1],
            "labels": [1 if column == number % 3 else None for column in range(13)] + [-1],
        }
        for number in range(6)
    }
    (root / "studies.json").write_text(json.dumps(told))
    published.write_bert_tokenizer(root / "words", as_vocab=True)
    settings = {"methods": list(CONTEXT), "steps": 8, "batch_size": 6, "embed_dim": 16, "num_threads": 1}
    run = {name: str(root / name) for name in ("corpus", "output")}
    run |= {"source": "cxr", "studies": str(root / "studies.json"), "vocabulary": str(root / "words")}
    (root / "run.json").write_text(json.dumps(run | {"settings": settings}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["small_models", "--settings", str(root / "run.json")])
        assert main() == 0
    return root


def test_every_family_learns_and_can_be_opened(trained):
    rows = {row["method"]: row for row in json.loads((trained / "output" / "small_models.json").read_text())}
    assert set(rows) == set(CONTEXT) == set(OBJECTIVES)
    pictures = [Image.fromarray(np.full((64, 64), 10 * number, dtype=np.uint8)) for number in range(3)]
    for family, row in rows.items():
        assert row["last_loss"] < row["first_loss"], family
        assert (row["num_studies"], row["num_steps"], row["batch_size"]) == (6, 8, 6) and row["num_parameters"] > 0
        model = Small(trained / "output" / family, mode="native").eval()
        images, texts = embed_images(model, pictures), embed_texts(model, ["no effusion", "a"])
        assert images.shape == (3, 16) and texts.shape == (2, 16)
        np.testing.assert_allclose(embed_texts(model, ["a"], batch_size=1)[0], texts[1], atol=1e-5, err_msg=family)


def test_what_is_trained_is_not_trained_again(trained, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in (trained / "output").rglob("*.safetensors")}
    monkeypatch.setattr("sys.argv", ["small_models", "--settings", str(trained / "run.json")])
    monkeypatch.setattr("medcsp_model.small_models.train_small", lambda *_, **__: pytest.fail("trained again"))
    assert main() == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before and len(before) == len(CONTEXT)


def test_losses_are_their_formulas():
    rng = np.random.default_rng(0)
    image, text = (torch.from_numpy(rng.normal(size=(4, 3))) for _ in range(2))
    alike = torch.from_numpy(rng.uniform(size=(4, 4)))
    cosine = (functional.normalize(image, dim=1) @ functional.normalize(text, dim=1).T).numpy() * 5
    by_row = cosine - np.log(np.exp(cosine).sum(1, keepdims=True))
    by_column = cosine - np.log(np.exp(cosine).sum(0, keepdims=True))
    own = -(np.diag(by_row).mean() + np.diag(by_column).mean()) / 2
    scale = torch.tensor(5.0, dtype=torch.float64)
    assert float(info_nce(image, text, scale)) == pytest.approx(own)
    wanted = np.exp(alike.numpy())
    rows = -(wanted / wanted.sum(1, keepdims=True) * by_row).sum(1).mean()
    columns = -(wanted / wanted.sum(0, keepdims=True) * by_column).sum(0).mean()
    assert float(semantic_matching(image, text, scale, alike)) == pytest.approx((rows + columns) / 2)


def test_the_generator_reads_no_word_ahead_and_no_padding():
    torch.manual_seed(0)
    model = build_small("llava_med_small", vocab_size=10, embed_dim=16).eval()
    assert isinstance(model, SmallGenerator)
    with torch.inference_mode():
        short, long = model.words(torch.tensor([[1, 2]])), model.words(torch.tensor([[1, 2, 3]]))
        torch.testing.assert_close(model.hidden(short), model.hidden(long)[:, :2])
        alone, padded = (pad_rows([[1, 2]], 0, length=length) for length in (2, 6))
        torch.testing.assert_close(model.text_features(alone), model.text_features(padded))
        pixels = torch.zeros(1, 64, 64, dtype=torch.uint8)
        torch.testing.assert_close(model.loss(pixels, alone), model.loss(pixels, padded))


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="no small model 'gloria_small'"):
        build_small("gloria_small", vocab_size=5, embed_dim=16)


def test_every_study_comes_once_before_any_comes_again():
    drawn = list(batches(10, size=5, steps=4, rng=np.random.default_rng(0)))
    assert [sorted(np.concatenate(pair)) for pair in (drawn[:2], drawn[2:])] == [list(range(10))] * 2
    assert [len(each) for each in batches(3, size=5, steps=2, rng=np.random.default_rng(0))] == [3, 3]
