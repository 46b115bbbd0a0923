"""The LLM variant over a tiny random LLaMA: what trains, what never changes, and what padding must not do."""

import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from medcsp_model.baselines.radiology.interface import NotAvailableError, embed_images, embed_texts
from medcsp_model.baselines.radiology.registry import open_model
from medcsp_model.collate import Collate
from medcsp_model.evaluate import evaluate_retrieval
from medcsp_model.llm.embed import LlmEmbedder
from medcsp_model.llm.embed import main as embed_main
from medcsp_model.llm.language import NO_TOKEN, SPECIAL, Language, in_words_of, write_random_language
from medcsp_model.llm.model import MedCSPLLM, load_llm, make_projection
from medcsp_model.llm.trainer import LlmTrainer, Places
from medcsp_model.model import load_model
from medcsp_model.settings import LlmSettings, RetrievalSettings, Settings
from medcsp_model.trainer import StoppedError, Trainer

WORDS = ["[PAD]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(29))]
SMALL = {
    "model": {
        "embed_dim": 16,
        "hidden_dim": 8,
        "image": {"timm_model_name": "test_convnext", "image_size": 32},
        "text": {"vocab_size": 0, "width": 16, "num_layers": 1, "num_heads": 2, "mlp_width": 16, "pad_to": 4},
    },
    "batch": {"size": 8},
    "optimiser": {"steps": 1},
    "run": {"num_threads": 1, "device": "cpu"},
}
LLM = LlmSettings(context_length=64, dtype="float32")
TRAIN = Settings.from_json(
    {
        "batch": {"size": 8},
        "optimiser": {"steps": 12, "lr": 1e-2, "warmup_share": 0.1},
        "run": {"num_threads": 1, "device": "cpu", "log_every": 3, "save_every": 6},
    }
)


@pytest.fixture(scope="module")
def places(toy, tmp_path_factory) -> Places:
    home = tmp_path_factory.mktemp("llm")
    Trainer(toy, settings=Settings.from_json(SMALL), folder=home / "checkpoint").run()
    (home / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    write_random_language(home / "language", WORDS, seed=0)
    return Places(home / "language", home / "checkpoint", home / "vocab.txt")


@pytest.fixture(scope="module")
def model(places: Places) -> MedCSPLLM:
    words = Language.open(places.language, dtype="float32")
    return MedCSPLLM(words, load_model(places.checkpoint), settings=LLM)


@pytest.fixture(scope="module")
def finished(toy, places: Places, tmp_path_factory) -> LlmTrainer:
    trainer = LlmTrainer(toy, settings=TRAIN, llm=LLM, places=places, folder=tmp_path_factory.mktemp("run") / "llm")
    trainer.run()
    return trainer


def lines_of(trainer: Trainer) -> list[dict[str, float]]:
    return [json.loads(line) for line in trainer.metrics.read_text().splitlines()]


def test_the_papers_projection_has_its_number_of_parameters() -> None:
    with torch.device("meta"):
        projection = make_projection(768, 4096)
    assert sum(parameter.numel() for parameter in projection.parameters()) == 3_149_824


def test_the_projection_alone_trains_and_the_loss_falls(finished: LlmTrainer, places: Places) -> None:
    model = finished.model
    assert {name for name, value in model.named_parameters() if value.requires_grad} == {
        "projection.weight",
        "projection.bias",
    }
    lines = lines_of(finished)
    assert lines[-1]["loss"] < 0.98 * lines[0]["loss"]
    fresh = Language.open(places.language, dtype="float32").model.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in model.language.state_dict().items())
    encoders = load_model(places.checkpoint).state_dict()
    assert all(torch.equal(value, encoders[name]) for name, value in model.encoders.state_dict().items())
    width = model.projection.in_features
    done = json.loads((finished.folder / "done.json").read_text())
    assert done["num_parameters"] == 64 * width + 64


def test_every_modality_of_both_sources_takes_part(toy, finished: LlmTrainer) -> None:
    for name, source in toy.sources.items():
        batch = finished.collate.source(name, np.arange(6))
        embedded = finished.model.embed(name, batch)
        assert embedded.e_NMD.shape[1] == len(source.modalities)
        assert torch.equal(
            embedded.present_NM,
            torch.tensor(np.stack([value.present[:6] for value in source.modalities.values()], axis=1)),
        )


def test_padding_changes_no_embedding(model: MedCSPLLM) -> None:
    short = torch.tensor([[3, 4, 5]])
    padded = torch.tensor([[3, 4, 5, NO_TOKEN, NO_TOKEN], [6, 7, 8, 9, 10]])
    alone = model.read(*model.with_prompt(short, "report"))[0]
    together = model.read(*model.with_prompt(padded, "report"))[0]
    assert torch.allclose(alone, together, atol=1e-6)
    ids, mask = model.with_prompt(padded, "report")
    before, after = model.words.prompt("report", "text")
    assert ids[0][mask[0] == 1].tolist() == [*before, 3, 4, 5, *after]
    assert ids[1].tolist() == [*before, 6, 7, 8, 9, 10, *after]


def test_the_mean_is_over_a_sequences_own_tokens(model: MedCSPLLM) -> None:
    ids, mask = model.with_prompt(torch.tensor([[3, NO_TOKEN], [6, 7]]), "note")
    states = model.language(ids, attention_mask=mask, use_cache=False).last_hidden_state
    expected = torch.stack([row[own == 1].mean(dim=0) for row, own in zip(states, mask, strict=True)])
    assert torch.allclose(model.read(ids, mask), expected, atol=1e-6)


def test_checkpointing_and_caching_leave_the_gradient_as_it_is(toy, places, tmp_path) -> None:
    losses = []
    for name, llm, parts in (("plain", False, 0), ("spared", True, 3)):
        settings = TRAIN.replace(optimiser={"steps": 1}, run={"micro_batch": parts, "log_every": 1})
        chosen = LlmSettings(context_length=64, dtype="float32", checkpoint_gradients=llm)
        trainer = LlmTrainer(toy, settings=settings, llm=chosen, places=places, folder=tmp_path / name)
        trainer.run()
        losses.append([(line["loss"], line["grad_norm"]) for line in lines_of(trainer)])
    assert np.allclose(losses[0], losses[1], rtol=1e-4)


def test_a_killed_run_goes_on_bit_by_bit(toy, places, finished: LlmTrainer, tmp_path) -> None:
    asked = iter([False] * 7 + [True] * 99)
    options = {"settings": TRAIN, "llm": LLM, "places": places, "folder": tmp_path / "run"}
    with pytest.raises(StoppedError):
        LlmTrainer(toy, **options, should_stop=lambda: next(asked)).run()
    LlmTrainer(toy, **options).run()
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (finished.folder / "model.safetensors").read_bytes()
    other = options | {"llm": LlmSettings(context_length=63, dtype="float32")}
    with pytest.raises(ValueError, match="another corpus; give a new run_folder"):
        LlmTrainer(toy, **other)


def test_a_finished_run_is_loaded_and_searched_like_ours(toy, places, finished: LlmTrainer, tmp_path) -> None:
    embedder = LlmEmbedder(finished.folder, toy, words=WORDS, num_threads=1)
    batch = finished.collate.source("cxr", np.arange(5))
    finished.model.eval()
    with torch.no_grad():
        expected = finished.model.embed("cxr", batch).e_NMD
    means, each, _ = embedder.records("cxr", np.arange(5), batch_size=2)
    assert np.allclose(np.linalg.norm(means, axis=1), 1, atol=1e-5)
    assert np.allclose(each["image"], torch.nn.functional.normalize(expected[:, 0], dim=-1).numpy(), atol=1e-5)
    rows = evaluate_retrieval(embedder, tmp_path, settings=RetrievalSettings(split="retrieval", ks=(1,), num_draws=20))
    assert {row["metric"] for row in rows} == {"precision_at_k", "recall_at_k"}


def test_the_command_embeds_a_corpus(toy, places, finished: LlmTrainer, tmp_path, monkeypatch) -> None:
    run = {"corpus": str(toy.folder), "checkpoint": str(finished.folder), "output": str(tmp_path / "embedded")}
    run |= {"vocabulary": str(places.vocabulary), "sources": ["ehr"], "num_threads": 1}
    (tmp_path / "run.json").write_text(json.dumps(run))
    monkeypatch.setattr("sys.argv", ["embed", "--settings", str(tmp_path / "run.json")])
    assert embed_main() == 0
    embedder = LlmEmbedder(finished.folder, toy, words=WORDS)
    expected = embedder.records("ehr", np.arange(toy.sources["ehr"].num_records), batch_size=64)[0]
    assert np.allclose(np.load(tmp_path / "embedded" / "ehr.npy"), expected, atol=1e-5)


def test_the_command_refuses_what_the_other_embedding_refuses(tmp_path, monkeypatch) -> None:
    run = {"corpus": "none", "checkpoint": "none", "output": "none", "vocabulary": "none", "batch_size": "64"}
    (tmp_path / "run.json").write_text(json.dumps(run))
    monkeypatch.setattr("sys.argv", ["embed", "--settings", str(tmp_path / "run.json")])
    with pytest.raises(ValueError, match="batch_size: expected a whole number of 1 or more, got '64'"):
        embed_main()


def test_the_image_text_interface_gives_the_same_embeddings(toy, finished: LlmTrainer, tmp_path) -> None:
    (tmp_path / "medcsp_llm").symlink_to(finished.folder)
    model = open_model("medcsp_llm", tmp_path, mode="native")
    embedder = LlmEmbedder(finished.folder, toy, words=WORDS, num_threads=1)
    pixels = toy.sources["cxr"].modalities["image"].pixels(np.arange(3))
    expected = embedder.modality("cxr", "image", np.arange(3), batch_size=3)
    assert np.allclose(embed_images(model, map(PIL.Image.fromarray, pixels)), expected, atol=1e-5)
    report = toy.sources["cxr"].modalities["report"]
    words = [WORDS[token] for token in report.tokens[: report.offsets[1]] if WORDS[token] not in SPECIAL]
    found = embed_texts(model, [" ".join(words)])
    row = np.flatnonzero(report.row == 0)[:1]
    assert np.allclose(found, embedder.modality("cxr", "report", row, batch_size=1), atol=1e-5)
    assert model.embed_dim == found.shape[1] == 64
    with pytest.raises(NotAvailableError, match=r"medcsp_llm is not available: .* none of model.json"):
        (tmp_path / "none" / "medcsp_llm").mkdir(parents=True)
        open_model("medcsp_llm", tmp_path / "none", mode="native")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.json", b"{", r"model\.json: not readable as JSON"),
        ("model.safetensors", b"123", r"model\.safetensors is torn or not that of model\.json"),
    ],
)
def test_a_torn_run_names_its_file(finished: LlmTrainer, tmp_path, name, content, message) -> None:
    copy = shutil.copytree(finished.folder, tmp_path / "run")
    (copy / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_llm(copy)


def test_another_language_model_is_refused(finished: LlmTrainer, tmp_path) -> None:
    write_random_language(tmp_path / "other", [*WORDS, "more"], seed=1)
    with pytest.raises(ValueError, match="trained with another language"):
        load_llm(finished.folder, language=tmp_path / "other")


def test_texts_keep_their_words_and_lose_their_frame(toy, places: Places) -> None:
    language = Language.open(places.language, dtype="float32")
    translated = in_words_of(language, toy, WORDS, context_length=64).sources["cxr"].modalities["report"]
    report = toy.sources["cxr"].modalities["report"]
    first = [WORDS[token] for token in report.tokens[: report.offsets[1]]]
    kept = [word for word in first if word not in SPECIAL]
    found = translated.tokens[: translated.offsets[1]]
    assert [language.tokenizer.inner.id_to_token(token) for token in found] == kept
    assert translated.pad_id == NO_TOKEN and len(translated.offsets) == len(report.offsets)
    with pytest.raises(ValueError, match="leave none beside the prompt"):
        in_words_of(language, toy, WORDS, context_length=5)
    with pytest.raises(ValueError, match="the vocabulary has 3 tokens"):
        in_words_of(language, toy, WORDS[:3], context_length=64)


def test_an_absent_note_says_nothing(toy, model: MedCSPLLM, places: Places) -> None:
    """Without the words of anybody else's note, where absent modalities are encoded."""
    translated = in_words_of(model.words, toy, WORDS, context_length=64)
    note = translated.sources["ehr"].modalities["note"]
    absent = np.flatnonzero(note.row < 0)[:2]
    options = {"device": torch.device("cpu"), "pad_to": 4, "context_length": 64}
    inputs = Collate(translated, **options, encode_absent=True).inputs(translated.sources["ehr"], "note", absent)
    assert (inputs.x == NO_TOKEN).all() and len(inputs.index) == 2
    ids, mask = model.with_prompt(inputs.x, "note")
    before, after = model.words.prompt("note", "text")
    assert ids[0][mask[0] == 1].tolist() == [*before, *after]


def test_collate_of_other_corpora_still_pads_with_their_own_token(toy) -> None:
    collate = Collate(toy, device=torch.device("cpu"), pad_to=4, context_length=512)
    assert int(collate.inputs(toy.sources["cxr"], "report", np.arange(3)).x.min()) >= 0


def test_the_random_language_is_a_function_of_its_seed(places: Places, tmp_path: Path) -> None:
    for seed, name in ((0, "same"), (1, "other")):
        write_random_language(tmp_path / name, WORDS, seed=seed)
    weights = {
        name: (path / "model.safetensors").read_bytes()
        for name, path in (("first", places.language), ("same", tmp_path / "same"), ("other", tmp_path / "other"))
    }
    assert weights["first"] == weights["same"] != weights["other"]
