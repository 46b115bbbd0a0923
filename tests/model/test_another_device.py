"""Training, embedding and the LLM variant on a device that is not the CPU: what is where, and what waits for it.

A GPU computes while the host goes on to the next step; a host that asks for a value in the middle of a step leaves it
idle. So a step asks once, for its scalars; what is asked on top of that is named here.
"""

from collections import Counter

import pytest

from medcsp_model.distributed import Ranks
from medcsp_model.embed import Embedder, embed_corpus
from medcsp_model.llm.embed import LlmEmbedder
from medcsp_model.llm.language import SPECIAL, write_random_language
from medcsp_model.llm.trainer import LlmTrainer, Places
from medcsp_model.settings import LlmSettings, Settings, default, paper
from medcsp_model.trainer import StoppedError, Trainer
from tests.another_device import DEVICE, another_device

SIZES = {
    "embed_dim": 16,
    "hidden_dim": 8,
    "image": {"timm_model_name": "test_vit", "image_size": 32},
    "text": {"vocab_size": 0, "width": 16, "num_layers": 1, "num_heads": 2, "mlp_width": 32, "pad_to": 4},
}
RUN = {"num_threads": 1, "precision": "float32", "compile": "off", "validate_every": 0, "log_every": 4, "save_every": 3}
RANKS = Ranks(device=DEVICE)
MASK = "model.py: aten._local_scalar_dense.default"
"""The text tower asks whether a batch is without padding; compiled it does not ask."""


def small(recipe: Settings, **groups: dict) -> Settings:
    plain = recipe.to_json()
    for name, values in SIZES.items():
        plain["model"][name] = plain["model"][name] | values if isinstance(values, dict) else values
    changes = {"batch": {"size": 8, "validation_share": 0.3}, "optimiser": {"steps": 4}, "run": RUN}
    return Settings.from_json(plain).replace(**changes).replace(**groups)


@pytest.mark.parametrize("recipe", [paper, default])
@pytest.mark.parametrize("groups", [{}, {"run": {"micro_batch": 3}}, {"loss": {"tile": 3}}], ids=["", "parts", "tiles"])
def test_a_step_waits_for_the_device_once(recipe, groups, toy, tmp_path, monkeypatch):
    trainer = Trainer(toy, settings=small(recipe(), **groups), folder=tmp_path, ranks=RANKS)
    with another_device(monkeypatch) as watch:
        trainer._prepare()
        trainer.cache._is_replayed = True  # what is compared in the first batch has no values here
        watch.waits.clear()
        for step in range(3):
            trainer._step(step, trainer._work(step), 0.0)
            assert watch.waits.pop(MASK) >= 1
            assert watch.waits == Counter({"trainer.py: aten._to_copy.default": 1})
            watch.waits.clear()


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")
def test_a_run_stops_and_goes_on_where_it_was(toy, tmp_path, monkeypatch):
    settings = small(default(), run={"validate_every": 2, "log_every": 1})
    answers = iter([False, False, True])
    with another_device(monkeypatch) as watch:
        with pytest.raises(StoppedError):
            Trainer(toy, settings=settings, folder=tmp_path, ranks=RANKS, should_stop=lambda: next(answers)).run()
        trainer = Trainer(toy, settings=settings, folder=tmp_path, ranks=RANKS)
        done = trainer.run()
    assert done["device"] == str(DEVICE)
    assert {value.device for state in trainer.optimiser.state.values() for value in state.values()} == {DEVICE}
    assert watch.waits["validation.py: aten._to_copy.default"] > 0


def test_a_corpus_is_embedded_where_the_model_is(toy, tmp_path, monkeypatch):
    Trainer(toy, settings=small(default(), optimiser={"steps": 1}), folder=tmp_path / "run").run()
    monkeypatch.setattr("medcsp_model.embed.choose_device", lambda _: DEVICE)
    with another_device(monkeypatch):
        embedder = Embedder(tmp_path / "run", toy)
        said = embed_corpus(embedder, tmp_path / "embedded", batch_size=7, sources=None, splits=None)
    assert embedder.model.head.weight.device == DEVICE
    assert said["sources"]["ehr"]["num_records"] == toy.sources["ehr"].num_records


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")
def test_the_llm_variant_trains_and_embeds_there(toy, tmp_path, monkeypatch):
    Trainer(toy, settings=small(default(), optimiser={"steps": 1}), folder=tmp_path / "checkpoint").run()
    words = [*SPECIAL, *(f"w{number}" for number in range(27))]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    write_random_language(tmp_path / "language", words, seed=0)
    places = Places(tmp_path / "language", tmp_path / "checkpoint", tmp_path / "vocab.txt")
    llm = LlmSettings(context_length=64, dtype="float32")
    options = {"settings": small(default(), run={"precision": "float32"}), "llm": llm, "places": places}
    monkeypatch.setattr("medcsp_model.llm.embed.choose_device", lambda _: DEVICE)
    with another_device(monkeypatch) as watch:
        LlmTrainer(toy, **options, folder=tmp_path / "run", ranks=RANKS).run()
        embedder = LlmEmbedder(tmp_path / "run", toy, words=words)
        embed_corpus(embedder, tmp_path / "embedded", batch_size=7, sources=None, splits=None)
    assert embedder.model.projection.weight.device == DEVICE
    assert watch.waits["trainer.py: aten._to_copy.default"] == 4
