"""kill -9 of the training process at seeded points, the same command again: the files of an undisturbed run."""

import json
import multiprocessing
import os
import random
import signal
import sys
from itertools import pairwise
from multiprocessing import Value

import pytest
import torch

import medcsp_model.trainer  # noqa: F401  (imported before the forks)
from medcsp_model import train as command
from medcsp_model.checkpoint import write_json, write_tensors
from medcsp_model.command import start

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


def die_at(last, count):
    """Count fsyncs, and die by SIGKILL in place of the one numbered `last` (0: live)."""
    fsync = os.fsync

    def counted(descriptor):
        count.value += 1
        if count.value == last:
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(descriptor)

    os.fsync = counted


def train(corpus, folder, fsyncs=0):
    """Train in a folder by the command's own `main`, in a fork that dies at its nth fsync; exit code and fsyncs."""
    folder.mkdir(exist_ok=True)
    path, count = folder / "run.json", Value("i", 0, lock=False)
    path.write_text(json.dumps({"corpus": str(corpus.folder), "run_folder": str(folder / "run"), "settings": SETTINGS}))
    torch.set_num_threads(1)

    def child():
        sys.argv = ["train", "--settings", str(path)]
        die_at(fsyncs, count)
        os._exit(start(command.main))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    process.kill()
    return process.exitcode, count.value


@pytest.fixture(scope="module")
def calm(toy, tmp_path_factory):
    """An undisturbed run: its folder and how often it made something durable."""
    folder = tmp_path_factory.mktemp("calm")
    code, fsyncs = train(toy, folder)
    assert code == 0
    return folder, fsyncs


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
    """Five durable writes, one from each fifth of a run; not the last one, behind which the run is done."""
    rng = random.Random(SEED)
    edges = [1 + number * (fsyncs - 1) // NUM_POINTS for number in range(NUM_POINTS + 1)]
    return [rng.randrange(*fifth) for fifth in pairwise(edges)]


@pytest.mark.parametrize("number", range(NUM_POINTS))
def test_a_kill_at_a_seeded_point_leaves_no_trace(toy, calm, tmp_path, number):
    folder, fsyncs = calm
    assert fsyncs >= 4 * NUM_POINTS, "a point is one of many"
    point = points(fsyncs)[number]
    assert train(toy, tmp_path, point) == (-signal.SIGKILL, point)
    assert not (tmp_path / "run" / "done.json").exists()
    assert train(toy, tmp_path)[0] == 0
    assert content(tmp_path) == content(folder)


def test_kills_upon_kills_leave_no_trace(toy, calm, tmp_path):
    """Every process but the last dies at its thirteenth durable write, just behind a saved state."""
    codes = []
    while not codes or codes[-1] != 0:
        codes.append(train(toy, tmp_path, 13)[0])
        assert len(codes) < 10
    assert codes.count(-signal.SIGKILL) >= 2
    assert content(tmp_path) == content(calm[0])


@pytest.mark.parametrize(("write", "values"), [(write_json, {}), (write_tensors, {"weight": torch.zeros(2)})])
def test_a_file_is_on_the_disk_before_it_has_its_name_unless_seconds_count(tmp_path, disk_steps, write, values):
    write(tmp_path / "file", values)
    assert disk_steps == [("sync", ".file.part"), ("rename", "file"), ("sync", tmp_path.name)]
    disk_steps.clear()
    write(tmp_path / "file", values, is_durable=False)
    assert disk_steps == [("rename", "file")]
