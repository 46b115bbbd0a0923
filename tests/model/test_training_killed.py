"""kill -9 of the training process at seeded points, the same command again: the files of an undisturbed run."""

import json
import os
import random
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("train_and_die.py")
REPOSITORY = SCRIPT.parents[2]
SEED = 20240811
NUM_POINTS = 5
SETTINGS = {
    "model": {
        "embed_dim": 16,
        "hidden_dim": 8,
        "image": {"timm_model_name": "test_vit", "image_size": 32},
        "text": {"vocab_size": 0, "width": 16, "num_layers": 1, "num_heads": 2, "mlp_width": 32, "pad_to": 4},
    },
    "batch": {"size": 8},
    "optimiser": {"steps": 6, "lr": 1e-3, "tower_lr": 1e-3, "warmup_share": 0.3},
    "run": {"num_threads": 1, "log_every": 2, "save_every": 2},
}
TIMES = {"seconds", "seconds_per_step", "samples_per_second", "data_wait_seconds"}


@pytest.fixture(scope="module")
def server():
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, str(SCRIPT)], env=environment, text=True, **pipes)
    yield process
    process.communicate()


@pytest.fixture(scope="module")
def command(server):
    """Run a command's `main` with a run.json, here (0) or in a fork that dies at its nth fsync; status and fsyncs."""

    def run(module, path, settings, fsyncs):
        path.write_text(json.dumps(settings))
        server.stdin.write(f"{module} {path} {fsyncs}\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, "the server ended"
        return tuple(int(word) for word in answer.split())

    return run


@pytest.fixture(scope="module")
def train(command):
    def run(corpus, folder, fsyncs=-1):
        folder.mkdir(exist_ok=True)
        settings = {"corpus": str(corpus.folder), "run_folder": str(folder / "run"), "settings": SETTINGS}
        return command("train", folder / "run.json", settings, fsyncs)

    return run


@pytest.fixture(scope="module")
def calm(toy, train, tmp_path_factory):
    """An undisturbed run: its folder and how often it made something durable."""
    folder = tmp_path_factory.mktemp("calm")
    code, fsyncs = train(toy, folder, 0)
    assert code == 0
    return folder, fsyncs


def test_a_node_without_the_rest_of_the_project_trains_embeds_and_evaluates(toy, calm, command, tmp_path):
    """The server finds none but torch, torchvision, numpy, pyarrow, safetensors, transformers, timm, open_clip."""
    run = {"corpus": str(toy.folder), "checkpoint": str(calm[0] / "run")}
    assert command("embed", tmp_path / "embed.json", run | {"output": str(tmp_path / "e")}, 0)[0] == 0
    assert (tmp_path / "e" / "cxr.npy").is_file()
    run |= {"task": "retrieval", "output": str(tmp_path / "r"), "settings": {"split": "retrieval", "num_draws": 20}}
    assert command("evaluate", tmp_path / "evaluate.json", run, 0)[0] == 0
    assert json.loads((tmp_path / "r" / "metrics.json").read_text())


def content(folder):
    """Bytes of every tensor file and of model.json; curve, states and last word without the seconds in them."""
    run = folder / "run"
    files = {path.relative_to(run): path for path in run.rglob("*") if path.is_file()}
    tensors = {name: path.read_bytes() for name, path in files.items() if path.suffix == ".safetensors"}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    lines.append(json.loads((run / "done.json").read_text()))
    told = [{key: value for key, value in line.items() if key not in TIMES} for line in lines]
    return sorted(files), tensors, (run / "model.json").read_bytes(), told


def points(fsyncs):
    """Five durable writes, one from each fifth of a run."""
    rng = random.Random(SEED)
    edges = [1 + number * fsyncs // NUM_POINTS for number in range(NUM_POINTS + 1)]
    return [rng.randrange(*fifth) for fifth in pairwise(edges)]


@pytest.mark.parametrize("number", range(NUM_POINTS))
def test_a_kill_at_a_seeded_point_leaves_no_trace(toy, train, calm, tmp_path, number):
    folder, fsyncs = calm
    assert fsyncs >= 4 * NUM_POINTS, "a point is one of many"
    point = points(fsyncs)[number]
    assert train(toy, tmp_path, point) == (-signal.SIGKILL, point)
    assert not (tmp_path / "run" / "done.json").exists()
    assert train(toy, tmp_path)[0] == 0
    assert content(tmp_path) == content(folder)


def test_kills_upon_kills_leave_no_trace(toy, train, calm, tmp_path):
    """Every process but the last dies at its eleventh durable write, just behind a saved state."""
    codes = []
    while not codes or codes[-1] != 0:
        codes.append(train(toy, tmp_path, 11)[0])
        assert len(codes) < 10
    assert codes.count(-signal.SIGKILL) >= 2
    assert content(tmp_path) == content(calm[0])
