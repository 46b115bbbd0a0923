import json

import numpy as np
import pytest
import torch

from lake import id_share
from medcsp_model.batches import PlanInputs, is_validation
from medcsp_model.collate import Collate
from medcsp_model.embed import Embedder
from medcsp_model.settings import BatchSettings, Settings, default
from medcsp_model.trainer import Trainer
from medcsp_model.validation import Validation


def test_a_share_of_subjects_is_held_out_in_every_source_alike():
    subject = np.repeat(np.arange(4000), 3)
    held_out = is_validation(subject, share=0.1, seed=0)
    assert abs(held_out.mean() - 0.1) < 0.02
    assert (held_out.reshape(-1, 3).any(1) == held_out.reshape(-1, 3).all(1)).all()
    assert np.array_equal(is_validation(subject[::-1], share=0.1, seed=0), held_out[::-1])
    assert not np.array_equal(is_validation(subject, share=0.1, seed=1), held_out)
    assert not is_validation(subject, share=0.0, seed=0).any()


def test_who_is_left_by_the_hold_out_can_be_a_validation_subject():
    """`cohort_split` draws by a hash of ids too, with the same seed in every profile."""
    left = np.array([subject for subject in range(4000) if id_share(0, subject) >= 0.15])
    assert abs(is_validation(left, share=0.1, seed=0).mean() - 0.1) < 0.02


def test_nobody_trains_on_a_validation_subject(toy):
    trained = PlanInputs.from_corpus(toy, split="pretrain", validation_share=0.3)
    subjects = [set(toy.sources[name].subject_id[rows].tolist()) for name, rows in trained.records.items()]
    everybody = set(toy.sources["cxr"].subject_id[toy.records("cxr", splits=["pretrain"])].tolist())
    away = {value for value in everybody if is_validation(np.array([value]), share=0.3, seed=0)[0]}
    assert 0 < len(away) < len(everybody)
    assert all(not away & some for some in subjects)
    assert away | subjects[1] == everybody


@pytest.fixture(scope="module")
def run(toy, tmp_path_factory):
    plain = {
        "model": {
            "embed_dim": 16,
            "hidden_dim": 8,
            "image": {"timm_model_name": "test_vit", "image_size": 32},
            "text": {"width": 16, "num_layers": 1, "num_heads": 2, "mlp_width": 32, "vocab_size": 0, "pad_to": 4},
        },
        "batch": {"size": 4, "validation_share": 0.4},
        "optimiser": {"steps": 5},
        "run": {"log_every": 1, "validate_every": 2, "device": "cpu"},
    }
    folder = tmp_path_factory.mktemp("run")
    Trainer(toy, settings=Settings.from_json(plain), folder=folder).run()
    return folder


@pytest.fixture
def validation(toy):
    collate = Collate(toy, device=torch.device("cpu"), pad_to=4, context_length=512)
    return Validation(toy, settings=BatchSettings(validation_share=0.4), collate=collate)


def test_retrieval_is_measured_while_training(run, toy, validation):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "cxr_recall_at_10" in line] == [2, 4, 5]
    last = validation.measure(Embedder(run, toy).model)
    assert lines[-1]["cxr_recall_at_10"] == pytest.approx(last["cxr_recall_at_10"])


def test_the_measure_is_recall_over_distinct_texts(run, toy, validation, monkeypatch):
    """Among however many: somewhere one of a text's two images is among them and the other is not."""
    model = Embedder(run, toy).model
    cxr = toy.sources["cxr"]
    rows = toy.records("cxr", splits=["pretrain"])
    rows = rows[is_validation(cxr.subject_id[rows], share=0.4, seed=0)]
    with torch.inference_mode():
        text, image = (
            model.encode("cxr", name, validation.collate.inputs(cxr, name, rows)) for name in ("report", "image")
        )
    similarity = torch.cosine_similarity(text[:, None], image[None], dim=-1)
    report = cxr.modalities["report"].row[rows]
    values, first = np.unique(report, return_index=True)
    found = report[torch.argsort(similarity[first], dim=1, descending=True, stable=True).numpy()] == values[:, None]
    recalls = np.cumsum(found, axis=1) / found.sum(axis=1, keepdims=True)
    assert len(rows) > 10
    for top in range(1, 11):
        monkeypatch.setattr("medcsp_model.validation.TOP", top)
        assert validation.measure(model)[f"cxr_recall_at_{top}"] == pytest.approx(recalls[:, top - 1].mean())


@pytest.mark.parametrize("is_training", [True, False])
def test_measuring_leaves_training_alone(run, toy, validation, is_training):
    model = Embedder(run, toy).model.train(is_training)
    state = torch.get_rng_state()
    validation.measure(model)
    assert model.training == is_training
    assert torch.equal(state, torch.get_rng_state())


def test_the_default_recipe_validates():
    assert default().batch.validation_share > 0
    assert default().run.validate_every > 0
