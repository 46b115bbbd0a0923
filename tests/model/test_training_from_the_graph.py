"""The graph's side of training: the curve in Dagster while it grows, and a cancel that stops the trainer and saves."""

import fcntl
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from medcsp_model.checkpoint import last_state
from medcsp_model.settings import Settings
from medcsp_model.trainer import Trainer
from pipelines.assets.glue import _observe
from pipelines.assets.step import Build
from pipelines.assets.training import MODEL, LiveCurve, curve, pretrain_checkpoint
from pipelines.launcher import Launcher
from pipelines.profiles import Profile
from pipelines.resources import Sources, Workspace

NODE = str(Path(__file__).with_name("node_without.py"))
SETTINGS = {
    "model": {
        "embed_dim": 16,
        "hidden_dim": 8,
        "image": {"timm_model_name": "test_convnext", "image_size": 32},
        "text": {"vocab_size": 0, "width": 16, "num_layers": 1, "num_heads": 2, "mlp_width": 32, "pad_to": 4},
    },
    "batch": {"size": 8, "validation_share": 0.3},
    "optimiser": {"steps": 5000},
    "run": {"num_threads": 1, "log_every": 1, "validate_every": 2, "device": "cpu"},
}


def commands_for(corpus, folder):
    """Train a step here; the commands that embed and evaluate it."""
    settings = Settings.from_json(SETTINGS).replace(optimiser={"steps": 1})
    Trainer(corpus, settings=settings, folder=folder / "trained").run()
    run = {"corpus": str(corpus.folder), "checkpoint": str(folder / "trained")}
    runs = {
        "embed": run | {"output": str(folder / "embedded")},
        "evaluate": run
        | {"task": "retrieval", "output": str(folder / "evaluated")}
        | {"settings": {"split": "retrieval", "num_draws": 20}},
    }
    for name, values in runs.items():
        (folder / f"{name}.json").write_text(json.dumps(values))
    return [f"{name}:{folder / f'{name}.json'}" for name in runs]


def launched(toy, home, monkeypatch, *, settings=SETTINGS, launcher, hear, instance=None):
    """The real step under the real Launcher, inside a Dagster run."""
    monkeypatch.setattr(Build, "folder_of", lambda build, contract: toy.folder)
    profile = Profile(name="toy", training=Settings.from_json(settings))
    workspace = Workspace(home=home, profile=profile, sources=Sources({}), launcher=launcher)

    @dg.asset(name=pretrain_checkpoint.name)
    def train(context: dg.AssetExecutionContext):
        observe = partial(_observe, context, pretrain_checkpoint)
        pretrain_checkpoint.make(Build(pretrain_checkpoint, workspace, {}, {}, "f" * 64, hear, observe))

    return dg.materialize([train], instance=instance or dg.DagsterInstance.ephemeral())


def cancel_at(step, said):
    """Hears lines, and does at a step what a cancel in the UI does."""

    def hear(line):
        said.append(line)
        if f"step {step}/" in line:
            os.kill(os.getpid(), signal.SIGINT)

    return hear


def assert_free(lock):
    with lock.open("r+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_cancel_stops_the_trainer_which_saves(toy, tmp_path, monkeypatch):
    """The trainer's machine has torch, torchvision, numpy, pyarrow, safetensors, transformers, timm and open_clip.

    It has nothing else that the project needs; a checkpoint is embedded and evaluated there first.
    """
    first = commands_for(toy, tmp_path)
    said, instance = [], dg.DagsterInstance.ephemeral()
    launcher = Launcher((sys.executable, NODE, *first))
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        launched(toy, tmp_path, monkeypatch, launcher=launcher, hear=cancel_at(4, said), instance=instance)
    assert np.load(tmp_path / "embedded" / "cxr.npy").shape == (len(toy.records("cxr")), 16)
    assert json.loads((tmp_path / "evaluated" / "metrics.json").read_text())
    [folder] = (tmp_path / "runs" / "pretrain_checkpoint").iterdir()
    assert not (folder / "done.json").exists()
    state = last_state(folder)
    assert state is not None
    assert 4 <= state[1]["step"] < 5000
    assert_free(tmp_path / "locks" / "device-cpu.lock")
    seen = instance.fetch_observations(dg.AssetKey(pretrain_checkpoint.name), limit=10).records
    numbers = [{key: value.value for key, value in record.asset_observation.metadata.items()} for record in seen]
    assert len(numbers) == 1, "a look every 20 seconds at most"
    assert {"step", "loss", "loss_p", "samples_per_second"} <= set(numbers[0])
    text = next(line for line in said if "step 4/5000" in line)
    assert "samples/s" in text
    assert "data wait" in text
    assert "s left" in text


def test_two_processes_are_cancelled_go_on_and_train_the_weights_of_one(toy, tmp_path, monkeypatch):
    """Without dropout, which every process would draw for itself."""
    model = SETTINGS["model"] | {"head_dropout": 0.0, "text": SETTINGS["model"]["text"] | {"dropout": 0.0}}
    run = SETTINGS["run"] | {"precision": "float64"}
    settings = SETTINGS | {"model": model, "optimiser": {"steps": 12, "lr": 1e-3}, "run": run}
    two, said = Launcher(num_processes=2), []
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        launched(toy, tmp_path, monkeypatch, settings=settings, launcher=two, hear=cancel_at(2, said))
    [folder] = (tmp_path / "runs" / "pretrain_checkpoint").iterdir()
    state = last_state(folder)
    assert state is not None and not (folder / "done.json").exists()
    assert state[1]["num_ranks"] == 2 and 2 <= state[1]["step"] < 12
    assert_free(tmp_path / "locks" / "device-cpu.lock")
    assert launched(toy, tmp_path, monkeypatch, settings=settings, launcher=two, hear=said.append).success
    assert json.loads((folder / "done.json").read_text())["num_processes"] == 2
    Trainer(toy, settings=Settings.from_json(settings), folder=tmp_path / "alone").run()
    found, expected = load_file(folder / MODEL), load_file(tmp_path / "alone" / MODEL)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-8)
    assert sum("step 12/12" in line for line in said) == 1, "the first process alone speaks"


def test_the_live_curve_is_few_looks_at_the_newest_whole_line(tmp_path):
    path, seen, now = tmp_path / "metrics.jsonl", [], [0.0]
    live = LiveCurve(path, seen.append, clock=lambda: now[0])
    live.look()
    assert not seen, "there is no line yet"
    for second in range(36_000):
        now[0] = float(second)
        if second % 10 == 0:
            with path.open("a") as file:
                file.write(json.dumps({"step": second // 10, "loss": 1.0}) + "\n")
        live.look()
    steps = [line["step"] for line in seen]
    assert steps == sorted(set(steps))
    assert steps[:3] == [0, 2, 4]
    assert 100 < len(steps) < 250, "ten hours"
    with path.open("a") as file:
        file.write(json.dumps({"step": 9999}) + '\n{"step": 10')
    live.look(is_last=True)
    assert seen[-1] == {"step": 9999}
    live.look(is_last=True)
    assert len(seen) == len(steps) + 1


def test_rows_of_a_curve_hold_no_time_and_say_what_was_not_measured():
    shown = ("epoch", "loss", "loss_a", "loss_p", "loss_d", "learning_rate", "grad_norm", "num_linked")
    plain = dict.fromkeys(shown, 1.0) | {"seconds": 3.0, "samples_per_second": 7.0}
    more = {"logit_p_positive_mean": 2.5, "one_recall_at_10": 0.2, "other_recall_at_10": 0.4}
    rows = curve([json.dumps({"step": 1} | plain), json.dumps({"step": 2} | plain | more)])
    assert not {"seconds", "samples_per_second"} & set(rows.columns)
    assert rows["recall_at_10"].to_list() == [None, pytest.approx(0.3)]
    assert rows["logit_p_positive"].to_list() == [None, 2.5]
    assert rows["logit_a_negative"].to_list() == [None, None]
    assert curve([]).schema == rows.schema
