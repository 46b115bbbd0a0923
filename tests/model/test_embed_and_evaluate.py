"""Embedding and retrieval of a trained toy model, through files as the pipelines see them."""

import json
import shutil

import numpy as np
import pytest

from medcsp_model.corpus import CorpusWriter
from medcsp_model.embed import Embedder, embed_corpus, main
from medcsp_model.evaluate import evaluate_retrieval, text_to_image_search
from medcsp_model.evaluate import main as evaluate_main
from medcsp_model.settings import RetrievalSettings, Settings
from medcsp_model.trainer import Trainer


@pytest.fixture(scope="module")
def checkpoint(toy, tmp_path_factory):
    settings = Settings.from_json(
        {
            "model": {
                "embed_dim": 16,
                "hidden_dim": 8,
                "image": {"timm_model_name": "test_convnext", "image_size": 32},
                "text": {"vocab_size": 0, "width": 32, "num_layers": 1, "num_heads": 2, "mlp_width": 32, "pad_to": 4}
                | {"pooler": "mean_pooler"},
            },
            "batch": {"size": 12},
            "optimiser": {"steps": 100, "lr": 3e-3, "tower_lr": 3e-3, "warmup_share": 0.1, "clip_norm": 1.0},
            "run": {"num_threads": 1, "log_every": 10, "save_every": 1000},
        }
    )
    folder = tmp_path_factory.mktemp("checkpoint") / "run"
    Trainer(toy, settings=settings, folder=folder).run()
    return folder


@pytest.fixture(scope="module")
def embedder(toy, checkpoint):
    return Embedder(checkpoint, toy)


def test_training_lowers_the_loss(checkpoint):
    lines = [json.loads(line) for line in (checkpoint / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss_a"] < 0.9 * lines[0]["loss_a"]
    assert lines[-1]["loss_p"] < 0.98 * lines[0]["loss_p"]


def test_embeddings_have_length_one_and_mean_their_modalities(toy, embedder, tmp_path):
    said = embed_corpus(embedder, tmp_path, batch_size=7, sources=None, splits=None)
    assert said == json.loads((tmp_path / "embeddings.json").read_text())
    ehr = np.load(tmp_path / "ehr.npy")
    assert ehr.shape == (toy.sources["ehr"].num_records, 16)
    assert np.allclose(np.linalg.norm(ehr, axis=1), 1, atol=1e-5)
    for name, modality in toy.sources["ehr"].modalities.items():
        present = np.load(tmp_path / f"ehr__{name}__present.npy")
        assert np.array_equal(present, modality.present)
        norms = np.linalg.norm(np.load(tmp_path / f"ehr__{name}.npy"), axis=1)
        assert np.allclose(norms, present.astype(float), atol=1e-5)
        assert said["sources"]["ehr"]["num_present"][name] == present.sum()


def test_embedding_is_repeatable_and_takes_parts(toy, embedder, tmp_path):
    embed_corpus(embedder, tmp_path / "all", batch_size=16, sources=None, splits=None)
    embed_corpus(embedder, tmp_path / "again", batch_size=16, sources=None, splits=None)
    assert (tmp_path / "all" / "cxr.npy").read_bytes() == (tmp_path / "again" / "cxr.npy").read_bytes()
    embed_corpus(embedder, tmp_path / "part", batch_size=16, sources=["cxr"], splits=["retrieval"])
    rows = np.load(tmp_path / "part" / "cxr__record_index.npy")
    assert np.array_equal(rows, toy.records("cxr", splits=["retrieval"]))
    assert np.allclose(np.load(tmp_path / "part" / "cxr.npy"), np.load(tmp_path / "all" / "cxr.npy")[rows], atol=1e-5)
    assert not (tmp_path / "part" / "ehr.npy").exists()
    with pytest.raises(ValueError, match=r"no source \['mri'\]"):
        embed_corpus(embedder, tmp_path, batch_size=16, sources=["mri"], splits=None)


def test_no_records_are_no_rows_and_a_lacking_modality_is_refused(toy, embedder):
    none = np.empty(0, dtype=np.int64)
    means, each, present = embedder.records("ehr", none, batch_size=4)
    assert means.shape == each["note"].shape == (0, 16) and present["note"].shape == (0,)
    assert embedder.modality("ehr", "series", none, batch_size=4).shape == (0, 16)
    noted = toy.sources["ehr"].modalities["note"].present
    with pytest.raises(ValueError, match=f"ehr: {int((~noted[:9]).sum())} of 9 records have no note; leave them out"):
        embedder.modality("ehr", "note", np.arange(9), batch_size=4)


def test_search_is_the_papers(toy):
    search = text_to_image_search(toy, settings=RetrievalSettings(split="retrieval"))
    cxr = toy.sources["cxr"]
    assert (search.source, search.image, search.text) == ("cxr", "image", "report")
    assert len(search.queries) == 8 * 2, "one query a study"
    assert len(search.candidates) == 8 * 3, "every image of those studies"
    assert set(cxr.subject_id[search.candidates] % 3) == {0}
    assert np.array_equal(cxr.study_id[search.queries][search.query_of_candidate], cxr.study_id[search.candidates])
    everything = text_to_image_search(toy, settings=RetrievalSettings())
    assert len(everything.candidates) == cxr.num_records
    with pytest.raises(ValueError, match="sources with one image and one text: \\['cxr'\\]"):
        text_to_image_search(toy, settings=RetrievalSettings(source="ehr"))


def test_retrieval_writes_rows_with_chance_beside(toy, embedder, tmp_path):
    settings = RetrievalSettings(split="retrieval", ks=(1, 5, 10, 100), num_draws=200)
    rows = evaluate_retrieval(embedder, tmp_path, settings=settings)
    assert rows == json.loads((tmp_path / "metrics.json").read_text())
    assert {row["k"] for row in rows} == {1, 5, 10}, "100 is beyond 24 candidates"
    assert {row["n"] for row in rows} == {16}
    values = {(row["method"], row["metric"], row["k"]): row for row in rows}
    assert len(values) == len(rows) == 2 * 2 * 3
    assert values["chance", "recall_at_k", 5]["value"] == pytest.approx(5 / 24)
    assert values["chance", "precision_at_k", 5]["value"] == pytest.approx(1.5 / 24)
    for (method, _, _), row in values.items():
        assert (row["ci_low"] is None) == (method == "chance")
        if method == "medcsp":
            assert row["ci_low"] <= row["value"] <= row["ci_high"]
    summary = json.loads((tmp_path / "retrieval.json").read_text())
    curve = summary["curve"]
    assert curve["recall"][9] == pytest.approx(values["medcsp", "recall_at_k", 10]["value"])
    assert curve["recall"][-1] == pytest.approx(1)
    assert summary["num_candidates"] == 24
    queries = np.load(tmp_path / "queries.npz", allow_pickle=False)
    precision = (queries["hits"] / queries["ks"]).mean(axis=0)
    assert precision[0] == pytest.approx(values["medcsp", "precision_at_k", 1]["value"])


def test_training_beats_chance_on_what_it_saw(embedder, tmp_path):
    rows = evaluate_retrieval(embedder, tmp_path, settings=RetrievalSettings(split="pretrain", ks=(5,)))
    values = {(row["method"], row["metric"]): row["value"] for row in rows}
    assert values["medcsp", "recall_at_k"] > 2.5 * values["chance", "recall_at_k"]


def test_raw_towers_give_other_numbers(toy, checkpoint, embedder):
    records = np.arange(5)
    raw = Embedder(checkpoint, toy, raw_towers=True)
    assert not np.allclose(
        raw.modality("cxr", "image", records, batch_size=5), embedder.modality("cxr", "image", records, batch_size=5)
    )


def x_rays(folder, *, num_tokens=32, with_text=True, pad_id=0):
    """A corpus of one X-ray source under another name, as evaluation sets are."""
    writer = CorpusWriter(folder, name="open_i", synthetic=False, splits=["all"], history_size=1)
    count = 4
    writer.add_source(
        "open_i",
        record_id=[f"r{number}" for number in range(count)],
        subject_id=np.arange(count),
        study_id=np.arange(count),
        time_days=np.zeros(count),
        split=np.zeros(count),
        history_indptr=np.zeros(count + 1),
        history_indices=[],
    )
    np.save(
        folder.parent / "pixels.npy", np.random.default_rng(0).integers(0, 255, size=(count, 48, 48), dtype=np.uint8)
    )
    writer.add_images(
        "open_i", "image", shard=np.zeros(count), row=np.arange(count), shards=[folder.parent / "pixels.npy"], size=48
    )
    row = np.array([0, 1, -1, 2]) if with_text else np.full(count, -1)
    writer.add_text(
        "open_i", "report", row=row, offsets=[0, 3, 5, 9], tokens=np.arange(9), size=num_tokens, pad_id=pad_id
    )
    return writer.finish()


def test_another_source_goes_through_the_same_towers(checkpoint, tmp_path):
    corpus = x_rays(tmp_path / "c")
    embedder = Embedder(checkpoint, corpus)
    rows = evaluate_retrieval(embedder, tmp_path / "out", settings=RetrievalSettings(ks=(1, 2)))
    assert {row["n"] for row in rows} == {3}
    summary = json.loads((tmp_path / "out" / "retrieval.json").read_text())
    assert summary["num_skipped_studies"] == 1, "a study without a report is counted, not searched"
    assert summary["num_candidates"] == 3
    with pytest.raises(ValueError, match=r"settings.ks: \(50,\), but there are 3 candidates"):
        evaluate_retrieval(embedder, tmp_path / "out", settings=RetrievalSettings(ks=(50,)))


def test_what_does_not_fit_is_named(toy, checkpoint, tmp_path, toy_writer):
    with pytest.raises(ValueError, match=r"no model.json; train first: python -m medcsp_model.train"):
        Embedder(tmp_path, toy)
    with pytest.raises(ValueError, match="has 99 tokens, the model 32"):
        Embedder(checkpoint, x_rays(tmp_path / "many", num_tokens=99))
    with pytest.raises(ValueError, match="pads with 3, the model with 0"):
        Embedder(checkpoint, x_rays(tmp_path / "padded", pad_id=3))
    wider = toy_writer(tmp_path / "wider", num_codes=20)
    with pytest.raises(ValueError, match=r"ehr diagnosis is .*20.* but the model was trained on .*12"):
        Embedder(checkpoint, wider)
    (tmp_path / "none").mkdir()
    silent = Embedder(checkpoint, x_rays(tmp_path / "none" / "c", with_text=False))
    with pytest.raises(ValueError, match="no study of split 'all' in open_i has both"):
        evaluate_retrieval(silent, tmp_path / "out", settings=RetrievalSettings(split="all"))


def test_retrieval_settings_are_strict():
    with pytest.raises(ValueError, match="unknown key 'k'"):
        RetrievalSettings.from_json({"k": [1]})
    with pytest.raises(ValueError, match="at least 1"):
        RetrievalSettings.from_json({"ks": [0, 5]})
    assert RetrievalSettings.from_json({"ks": [1, 3]}).ks == (1, 3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"raw_towers": "false"}, "raw_towers: expected true or false, got 'false'"),
        ({"batch_size": 0}, "batch_size: expected a whole number of 1 or more, got 0"),
        ({"num_threads": -1}, "num_threads: expected a whole number of 0 or more"),
        ({"splits": "pretrain"}, "splits: expected null or a list of names"),
        ({"corpus": 5}, "corpus: expected the path of a folder, got 5"),
    ],
)
def test_a_run_description_of_other_kinds_is_refused(tmp_path, monkeypatch, changed, message):
    run = {"corpus": "none", "checkpoint": "none", "output": str(tmp_path / "out")} | changed
    (tmp_path / "run.json").write_text(json.dumps(run))
    monkeypatch.setattr("sys.argv", ["embed", "--settings", str(tmp_path / "run.json")])
    with pytest.raises(ValueError, match=message):
        main()


def test_a_run_of_no_known_task_is_refused(tmp_path, monkeypatch):
    (tmp_path / "run.json").write_text(json.dumps({"task": ["retrieval"], "output": "o", "settings": {}}))
    monkeypatch.setattr("sys.argv", ["evaluate", "--settings", str(tmp_path / "run.json")])
    with pytest.raises(ValueError, match=r"task: no \['retrieval'\]; known: retrieval, zero_shot, prediction"):
        evaluate_main()


def test_what_the_model_has_no_encoder_for_is_said(checkpoint, tmp_path, caplog):
    writer = CorpusWriter(tmp_path / "c", name="x", synthetic=True, splits=["all"], history_size=1)
    ids = {"record_id": ["a"], "subject_id": [1], "study_id": [1], "time_days": [0.0], "split": [0]}
    writer.add_source("EHR", **ids, history_indptr=[0, 0], history_indices=[])
    writer.add_codes("EHR", "drug", indptr=[0, 1], indices=[0], size=4)
    with caplog.at_level("INFO"):
        written = embed_corpus(
            Embedder(checkpoint, writer.finish()), tmp_path / "out", batch_size=4, sources=None, splits=None
        )
    assert written["sources"] == {}
    assert "EHR: left out, the model was not trained on them: drug" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.json", b"{", r"model\.json: not readable as JSON"),
        ("model.safetensors", b"123", r"model\.safetensors is torn or not that of model\.json"),
    ],
)
def test_a_torn_checkpoint_names_its_file(toy, checkpoint, tmp_path, name, content, message):
    copy = shutil.copytree(checkpoint, tmp_path / "run")
    (copy / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Embedder(copy, toy)
