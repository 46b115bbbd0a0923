"""A real CUDA device against the CPU: losses, gradients, whole runs, parts of a batch, embeddings.

`make test-cuda` on a machine that has one. On the CPU the same functions run with the suite, so that they are not first
tried where nobody looks; what then differs is the way that they compare: parts, tiles, stopped runs.
"""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from medcsp_model.distributed import Ranks
from medcsp_model.embed import Embedder, embed_corpus
from medcsp_model.losses import Embedded, compute_losses
from medcsp_model.settings import Settings, default, paper
from medcsp_model.trainer import StoppedError, Trainer

CPU = torch.device("cpu")
SIZES = {
    "embed_dim": 16,
    "hidden_dim": 8,
    "image": {"timm_model_name": "test_vit", "image_size": 32},
    "text": {"vocab_size": 0, "width": 16, "num_layers": 1, "num_heads": 2, "mlp_width": 32, "pad_to": 4},
}
CLOSE = {"cpu": 1e-4, "cuda": 5e-3}
"""Relative distance of float32 runs: cuDNN rounds what convolutions and LSTMs multiply to TF32."""
RUN = {"num_threads": 1, "validate_every": 0, "log_every": 1, "save_every": 100}


def small(recipe: Settings, **groups: dict) -> Settings:
    plain = recipe.to_json()
    for name, values in SIZES.items():
        plain["model"][name] = plain["model"][name] | values if isinstance(values, dict) else values
    changes = {"batch": {"size": 8, "validation_share": 0.3}, "optimiser": {"steps": 6}, "run": RUN}
    return Settings.from_json(plain).replace(**changes).replace(**groups)


def without_chance(recipe: Settings, **groups: dict) -> Settings:
    """Neither dropout nor augmentation: random numbers differ from device to device."""
    still = dict.fromkeys(recipe.to_json()["augmentation"], 0.0)
    model = {"head_dropout": 0.0, "text": {"dropout": 0.0}}
    run = {"precision": "float32", "compile": "off"} | groups.pop("run", {})
    return small(recipe, model=model, augmentation=still, run=run, **groups)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_curve(folder, other, *, rtol):
    assert [line["step"] for line in lines(folder)] == [line["step"] for line in lines(other)]
    for line, same in zip(lines(folder), lines(other), strict=True):
        assert line["num_linked"] == same["num_linked"]
        for name in ("loss", "loss_a", "loss_p", "loss_d", "grad_norm"):
            assert line[name] == pytest.approx(same[name], rel=rtol), f"{name} of step {line['step']}"


def losses_on(device, settings):
    """Losses and gradients of one batch, drawn on the CPU."""
    rng, batch = np.random.default_rng(1), {}
    for name, count in (("ehr", 11), ("cxr", 9)):
        e_NMD = torch.from_numpy(rng.normal(size=(count, 3, 5))).to(device).requires_grad_()
        present_NM = torch.from_numpy(rng.random((count, 3)) < 0.8).to(device)
        ids = [torch.from_numpy(rng.integers(0, 7, size=count)).to(device) for _ in range(3)]
        history_NH = torch.from_numpy(rng.integers(0, 2, size=(count, 6)).astype(np.float32)).to(device)
        batch[name] = Embedded(e_NMD, present_NM, *ids, history_NH)
    linked = torch.tensor([[0, 2, 2, 7], [3, 1, 8, 0]], device=device)
    losses = compute_losses(batch, {("ehr", "cxr"): linked}, settings=settings)
    gradients = torch.autograd.grad(losses.total, [source.e_NMD for source in batch.values()])
    return [losses.total, losses.a, losses.p, losses.d, *gradients]


@pytest.mark.parametrize("recipe", [paper, default])
def test_losses_in_tiles_and_their_gradients_are_those_of_the_cpu(recipe, device):
    whole = recipe().loss
    for found, expected in zip(losses_on(device, replace(whole, tile=4)), losses_on(CPU, whole), strict=True):
        assert found.device == device
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("recipe", [paper, default])
def test_a_run_in_parts_follows_the_run_of_the_cpu_at_once(recipe, device, toy, tmp_path):
    at_once = without_chance(recipe())
    Trainer(toy, settings=at_once, folder=tmp_path / "cpu", ranks=Ranks(device=CPU)).run()
    parts = at_once.replace(run={"micro_batch": 3})
    done = Trainer(toy, settings=parts, folder=tmp_path / "there", ranks=Ranks(device=device)).run()
    assert done["device"].startswith(device.type)
    assert_same_curve(tmp_path / "there", tmp_path / "cpu", rtol=CLOSE[device.type])


def test_a_stopped_run_goes_on_as_one_that_was_not(device, toy, tmp_path):
    """`default()` as it is: bfloat16, augmentation, dropout, and compiled towers on CUDA."""
    settings, ranks = small(default(), run={"validate_every": 3}), Ranks(device=device)
    Trainer(toy, settings=settings, folder=tmp_path / "whole", ranks=ranks).run()
    answers = iter([False, False, True])
    with pytest.raises(StoppedError):
        Trainer(
            toy, settings=settings, folder=tmp_path / "stopped", ranks=ranks, should_stop=lambda: next(answers)
        ).run()
    trainer = Trainer(toy, settings=settings, folder=tmp_path / "stopped", ranks=ranks)
    trainer.run()
    assert {value.device.type for state in trainer.optimiser.state.values() for value in state.values()} == {
        device.type
    }
    assert_same_curve(tmp_path / "stopped", tmp_path / "whole", rtol=0.0 if device == CPU else 0.02)


def test_parts_draw_the_same_random_numbers_twice(device, toy, tmp_path):
    """With dropout: a part embedded twice otherwise ends the run with a ReplayError."""
    settings = small(default(), model={"text": {"dropout": 0.1}}, run={"micro_batch": 3})
    Trainer(toy, settings=settings, folder=tmp_path, ranks=Ranks(device=device)).run()
    assert all(np.isfinite(line["loss"]) for line in lines(tmp_path))


def test_embeddings_are_those_of_the_cpu(device, toy, tmp_path, monkeypatch):
    Trainer(toy, settings=without_chance(default()), folder=tmp_path / "run", ranks=Ranks(device=device)).run()
    for where in (device, CPU):
        monkeypatch.setattr("medcsp_model.embed.choose_device", lambda _, where=where: where)
        size = 7 if where == CPU else 64
        embed_corpus(Embedder(tmp_path / "run", toy), tmp_path / str(where), batch_size=size, sources=None, splits=None)
    for name in ("ehr", "cxr"):
        here, there = (np.load(tmp_path / str(where) / f"{name}.npy") for where in (CPU, device))
        assert np.abs(here - there).max() < CLOSE[device.type]
        assert np.allclose(np.linalg.norm(there, axis=1), 1.0, atol=1e-3)


@pytest.mark.gpu
def test_a_device_says_how_many_records_fit(cuda, toy, tmp_path, monkeypatch):
    """With all of its memory the whole batch, with that of some twelve records eight, with none a refusal."""
    settings = small(default(), batch={"size": 24}, run={"compile": "off"})
    trainer = Trainer(toy, settings=settings, folder=tmp_path, ranks=Ranks(device=cuda))
    trainer._prepare()
    assert trainer.micro_batch == 0
    taken: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            "medcsp_model.trainer.fitting_micro_batch",
            lambda measure, size, free: taken.extend([measure(8), measure(16)]) or size,
        )
        trainer._choose_micro_batch()
    assert 0 < taken[0] < taken[1], "bytes at the peak of both passes"
    monkeypatch.setattr("medcsp_model.trainer.free_memory", lambda model, most: sum(taken) // 2)
    assert trainer._choose_micro_batch() == 8
    monkeypatch.setattr("medcsp_model.trainer.free_memory", lambda model, most: 0)
    with pytest.raises(ValueError, match=r"the device has 0\.0 GB for a batch"):
        trainer._choose_micro_batch()


@pytest.mark.gpu
def test_two_devices_train_the_weights_of_one(cuda, toy, tmp_path):
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    settings = without_chance(default(), run={"device": "cuda"})
    Trainer(toy, settings=settings, folder=tmp_path / "one", ranks=Ranks(device=cuda)).run()
    run = {"corpus": str(toy.folder), "run_folder": str(tmp_path / "two"), "settings": settings.to_json()}
    (tmp_path / "run.json").write_text(json.dumps(run))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*command, "-m", "medcsp_model.train", "--settings", str(tmp_path / "run.json")], check=True)
    assert_same_curve(tmp_path / "two", tmp_path / "one", rtol=CLOSE["cuda"])
    found, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("two", "one"))
    apart = torch.cat([(found[name] - value).flatten() for name, value in expected.items()])
    assert apart.square().mean().sqrt() < 1e-4
