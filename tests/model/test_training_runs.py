"""The trainer on a toy corpus: what it writes, how it resumes, how it refuses."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from medcsp_model.batches import RandomPlan
from medcsp_model.checkpoint import last_state
from medcsp_model.command import start
from medcsp_model.corpus import Corpus
from medcsp_model.model import load_model
from medcsp_model.settings import Settings
from medcsp_model.train import Stop
from medcsp_model.trainer import (
    NonFiniteLossError,
    StoppedError,
    Trainer,
    batch_factor,
    learning_rate,
    make_optimiser,
)

TIMES = ("seconds", "data_wait_seconds", "samples_per_second")
REPOSITORY = Path(__file__).resolve().parents[2]


def recipe(**groups):
    plain = {
        "model": {
            "embed_dim": 16,
            "hidden_dim": 8,
            "image": {"timm_model_name": "test_vit", "image_size": 32},
            "text": {"vocab_size": 0, "width": 16, "num_layers": 1, "num_heads": 2, "mlp_width": 32, "pad_to": 4},
        },
        "batch": {"size": 8},
        "augmentation": {"shift": 0.05, "noise": 0.01},
        "optimiser": {
            "steps": 6,
            "lr": 1e-3,
            "tower_lr": 1e-3,
            "warmup_share": 0.3,
            "schedule": "cosine",
            "clip_norm": 1.0,
        },
        "run": {"num_threads": 1, "log_every": 2, "save_every": 2},
    }
    for group, fields in groups.items():
        plain[group] = plain.get(group, {}) | fields
    return Settings.from_json(plain)


def stop_after(steps):
    calls = iter(range(1, 1000))
    return lambda: next(calls) == steps


@pytest.fixture(scope="module")
def undisturbed(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    Trainer(toy, settings=recipe(), folder=folder).run()
    return folder


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_run_writes_model_curve_and_summary(toy, undisturbed):
    lines = [json.loads(line) for line in (undisturbed / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert {"epoch", "loss", "loss_a", "loss_p", "loss_d", "grad_norm", "num_linked", "learning_rate"} <= set(lines[0])
    for line in lines:
        assert line["loss"] == pytest.approx(line["loss_a"] + 0.5 * line["loss_p"] + 0.2 * line["loss_d"])
        assert line["loss_p"] > 0
        assert line["logit_p_positive_mean"] <= line["logit_p_positive_max"] <= 10.001
        assert 0 <= line["data_wait_seconds"] <= line["seconds"]
        assert line["samples_per_second"] == pytest.approx(8 / line["seconds"])
    done = json.loads((undisturbed / "done.json").read_text())
    assert done["steps"] == 6
    assert sum(done["linked_pairs_histogram"].values()) == 6
    assert min(map(int, done["linked_pairs_histogram"])) >= 4, "half of every batch is linked"
    model = load_model(undisturbed)
    assert not model.training
    assert same(model.state_dict(), weights(undisturbed))
    assert [path.name for path in sorted((undisturbed / "states").iterdir())] == ["00000004", "00000006"]


def test_the_same_settings_give_the_same_bits(toy, undisturbed, tmp_path):
    Trainer(toy, settings=recipe(), folder=tmp_path).run()
    assert same(weights(tmp_path), weights(undisturbed))


@pytest.mark.parametrize("step", [1, 4])
def test_a_stopped_run_goes_on_to_the_same_bits(toy, undisturbed, tmp_path, step):
    with pytest.raises(StoppedError, match=f"after step {step} of 6"):
        Trainer(toy, settings=recipe(), folder=tmp_path, should_stop=stop_after(step)).run()
    assert not (tmp_path / "done.json").exists()
    with pytest.raises(ValueError, match=r"no model\.json"):
        load_model(tmp_path)
    Trainer(toy, settings=recipe(), folder=tmp_path).run()
    assert same(weights(tmp_path), weights(undisturbed))
    curves = [
        [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in path.open()]
        for path in (tmp_path / "metrics.jsonl", undisturbed / "metrics.jsonl")
    ]
    assert curves[0] == curves[1], "a line covers the same steps, whether the run stopped between them or not"


def test_a_state_on_request_does_not_wait_for_the_disk(toy, tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("medcsp_model.checkpoint._sync", synced.append)
    settings = recipe(run={"save_every": 2})
    with pytest.raises(StoppedError):
        Trainer(toy, settings=settings, folder=tmp_path, should_stop=stop_after(3)).run()
    assert last_state(tmp_path)[1]["step"] == 3
    waited_for = {path.relative_to(tmp_path).parts[1] for path in synced if "states" in path.parts[:-1]}
    assert waited_for == {"00000002"}


class Killed(BaseException):
    """Stands for SIGKILL: no handler of ours sees it."""


def kill_after(steps):
    calls = iter(range(1, 1000))

    def asked():
        if next(calls) == steps:
            raise Killed
        return False

    return asked


@pytest.fixture(scope="module")
def killed(toy, tmp_path_factory):
    """A run that was killed after its fifth step."""
    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(Killed):
        Trainer(toy, settings=recipe(), folder=folder, should_stop=kill_after(5)).run()
    return folder


@pytest.mark.parametrize("tear", ["json", "half", "empty", "weights", "nothing"])
def test_a_killed_run_goes_on_from_its_last_whole_state(toy, undisturbed, killed, tmp_path, tear):
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    newest = tmp_path / "states" / "00000004"
    if tear == "json":
        (newest / "state.json").unlink()
    if tear in ("half", "empty"):
        text = (newest / "state.json").read_text()
        (newest / "state.json").write_text(text[: len(text) // 2] if tear == "half" else "")
    if tear == "weights":
        (newest / "weights.safetensors").write_bytes((newest / "weights.safetensors").read_bytes()[:-7])
    state = last_state(tmp_path)
    assert state is not None
    assert state[1]["step"] == (4 if tear == "nothing" else 2)
    Trainer(toy, settings=recipe(), folder=tmp_path).run()
    assert same(weights(tmp_path), weights(undisturbed))
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6], "lines beyond the last state are written once"


def test_a_resumed_run_holds_no_state_open_and_minds_no_other_file_there(toy, undisturbed, killed, tmp_path):
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    (tmp_path / "states" / ".DS_Store").touch()
    (tmp_path / "states" / "notes.txt").touch()
    trainer = Trainer(toy, settings=recipe(), folder=tmp_path)
    trainer._prepare()
    if sys.platform == "linux":
        assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    trainer.run()
    assert same(weights(tmp_path), weights(undisturbed))
    assert [path.name for path in sorted((tmp_path / "states").iterdir()) if path.is_dir()] == ["00000004", "00000006"]


def test_a_run_killed_before_its_first_state_begins_again(toy, tmp_path):
    settings = recipe(run={"save_every": 100})
    with pytest.raises(Killed):
        Trainer(toy, settings=settings, folder=tmp_path, should_stop=kill_after(3)).run()
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 1
    Trainer(toy, settings=settings, folder=tmp_path).run()
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6]


def test_a_run_killed_before_its_last_word_says_it_again(toy, undisturbed, tmp_path, monkeypatch):
    trainer = Trainer(toy, settings=recipe(), folder=tmp_path)
    monkeypatch.setattr(trainer, "_finish", lambda *_: kill_after(1)())
    with pytest.raises(Killed):
        trainer.run()
    done = Trainer(toy, settings=recipe(), folder=tmp_path).run()
    before = json.loads((undisturbed / "done.json").read_text())
    assert done["loss"] == before["loss"]
    assert done["linked_pairs_histogram"] == before["linked_pairs_histogram"]
    assert same(weights(tmp_path), weights(undisturbed))


def test_a_resumed_run_keeps_the_number_of_threads_it_began_with(toy, tmp_path):
    settings = recipe(run={"num_threads": 0}, optimiser={"steps": 2})
    torch.set_num_threads(2)
    with pytest.raises(StoppedError):
        Trainer(toy, settings=settings, folder=tmp_path, should_stop=stop_after(1)).run()
    torch.set_num_threads(1)
    done = Trainer(toy, settings=settings, folder=tmp_path).run()
    assert done["num_threads"] == 2
    torch.set_num_threads(1)


def test_a_finished_run_returns_at_once(toy, undisturbed, monkeypatch):
    monkeypatch.setattr(RandomPlan, "batch", None)
    monkeypatch.setattr(Trainer, "_prepare", None)
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*.safetensors")}
    done = Trainer(toy, settings=recipe(), folder=undisturbed).run()
    assert done == json.loads((undisturbed / "done.json").read_text())
    assert before == {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*.safetensors")}


def test_a_folder_of_another_run_is_refused(toy, toy_writer, undisturbed, tmp_path):
    with pytest.raises(ValueError, match="other settings or another corpus"):
        Trainer(toy, settings=recipe(optimiser={"lr": 0.5}), folder=undisturbed)
    other = toy_writer(tmp_path / "corpus", seed=5)
    with pytest.raises(ValueError, match="other settings or another corpus"):
        Trainer(other, settings=recipe(), folder=undisturbed)


def spoil_loss(weight):
    weight.data[0] = torch.nan


def spoil_gradient(weight):
    weight.register_hook(lambda gradient: gradient * torch.inf)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(spoil_loss, "step 1: loss nan"), (spoil_gradient, r"step 1: loss [\d.]+, gradient norm (inf|nan)")],
)
def test_a_loss_or_gradient_that_is_no_number_stops_the_run_and_names_the_batch(toy, tmp_path, spoil, message):
    trainer = Trainer(toy, settings=recipe(), folder=tmp_path)
    prepare = trainer._prepare

    def poisoned():
        start = prepare()
        spoil(trainer.model.head.weight)
        return start

    trainer._prepare = poisoned
    with pytest.raises(NonFiniteLossError, match=message) as error:
        trainer.run()
    found = json.loads((tmp_path / "non_finite_step_1.json").read_text())
    assert "non_finite_step_1.json" in str(error.value)
    assert found["records"]["cxr"][0].startswith("cxr-")
    assert found["records"]["cxr"][0] not in str(error.value)
    assert len(found["records"]["ehr"]) == 8


def test_learning_rate_rises_then_falls():
    settings = recipe(optimiser={"warmup_share": 0.2}).optimiser
    factors = [learning_rate(step, total=100, settings=settings) for step in range(100)]
    assert factors[0] == pytest.approx(0.05)
    assert factors[19] == pytest.approx(1.0)
    assert all(later <= earlier for earlier, later in pairwise(factors[19:]))
    assert factors[-1] < 0.001
    constant = recipe(optimiser={"schedule": "constant", "warmup_share": 0.0}).optimiser
    assert {learning_rate(step, total=100, settings=constant) for step in range(100)} == {1.0}


@pytest.mark.parametrize(("rule", "factor"), [("none", 1.0), ("linear", 0.5), ("sqrt", 0.5**0.5)])
def test_the_rate_follows_the_batch_that_there_is(toy, tmp_path, rule, factor):
    settings = recipe(optimiser={"lr_rule": rule, "reference_batch": 96}, batch={"size": 500})
    trainer = Trainer(toy, settings=settings, folder=tmp_path)
    assert trainer.plan.size == 48
    assert trainer.batch_factor == pytest.approx(factor)
    assert batch_factor(96, settings=settings.optimiser) == 1


def test_towers_and_encoders_have_rates_of_their_own(toy, tmp_path):
    settings = recipe(optimiser={"lr": 1e-2, "tower_lr": 1e-4, "weight_decay": 0.1, "decay_norms": False})
    trainer = Trainer(toy, settings=settings, folder=tmp_path)
    trainer._prepare()
    optimiser = make_optimiser(trainer.model, settings=settings.optimiser)
    rate = {id(p): group for group in optimiser.param_groups for p in group["params"]}
    named = dict(trainer.model.named_parameters())
    assert len(rate) == len(named)
    assert rate[id(named["towers.text.proj.0.weight"])]["lr"] == 1e-4
    assert rate[id(named["encoders.ehr__drug.0.weight"])]["lr"] == 1e-2
    assert rate[id(named["encoders.ehr__drug.0.weight"])]["weight_decay"] == 0.1
    assert rate[id(named["encoders.ehr__drug.0.bias"])]["weight_decay"] == 0.0
    assert rate[id(named["head.weight"])]["weight_decay"] == 0.0


def test_bfloat16_towers_train_too(toy, tmp_path):
    settings = recipe(run={"precision": "bfloat16"}, optimiser={"steps": 2})
    assert np.isfinite(Trainer(toy, settings=settings, folder=tmp_path).run()["loss"])


def command(module, path):
    return subprocess.Popen(
        [sys.executable, "-m", module, "--settings", str(path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"corpus": "nowhere", "run_folder": "r", "settings": {}}, "write it with CorpusWriter"),
        ({"corpus": "nowhere", "settings": {}}, "missing ['run_folder']"),
        ({"corpus": "c", "run_folder": "r", "settings": {}, "gpu": 1}, "unknown ['gpu']"),
    ],
)
def test_a_wrong_run_file_is_one_line(tmp_path, run, message):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run))
    process = command("medcsp_model.train", path)
    output, _ = process.communicate()
    assert process.returncode == 2
    assert message in output
    assert "Traceback" not in output


COMMANDS = ("train", "embed", "evaluate", "export", "ablate", "case_studies", "small_models", "llm.train", "llm.embed")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_a_command_reads_and_writes(name, monkeypatch, capsys):
    module = import_module(f"medcsp_model.{name}")
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as left:
        module.main()
    assert left.value.code == 0
    assert module.__doc__.strip() in capsys.readouterr().out


def test_a_stop_before_the_first_step_ends_at_once_and_later_after_a_step():
    early, late = Stop(), Stop()
    with pytest.raises(SystemExit) as left:
        early.ask()
    assert left.value.code == 143
    assert not late(), "a step is done"
    late.ask()
    assert late()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_with_its_state_saved(toy, tmp_path, number):
    path, folder = tmp_path / "run.json", tmp_path / "run"
    settings = recipe(optimiser={"steps": 100_000}, run={"log_every": 1}).to_json()
    path.write_text(json.dumps({"corpus": str(toy.folder), "run_folder": str(folder), "settings": settings}))
    process = command("medcsp_model.train", path)
    step = next(line for line in process.stdout if " step 2/" in line)
    process.send_signal(number)
    output, _ = process.communicate()
    assert process.returncode == 143, step + output
    assert "Traceback" not in output
    assert last_state(folder)[1]["step"] >= 2


def test_a_run_in_parts_stops_and_goes_on_to_the_same_bits(toy, undisturbed, tmp_path):
    settings = recipe(run={"micro_batch": 4})
    Trainer(toy, settings=settings, folder=tmp_path / "whole").run()
    with pytest.raises(StoppedError):
        Trainer(toy, settings=settings, folder=tmp_path / "stopped", should_stop=stop_after(3)).run()
    done = Trainer(toy, settings=settings, folder=tmp_path / "stopped").run()
    assert done["micro_batch"] == 4
    assert same(weights(tmp_path / "stopped"), weights(tmp_path / "whole"))
    assert not same(weights(tmp_path / "whole"), weights(undisturbed)), "each part draws its own dropout"


def test_a_device_that_is_too_small_is_given_parts(toy, tmp_path, monkeypatch):
    trainer = Trainer(toy, settings=recipe(batch={"size": 14}), folder=tmp_path)
    trainer._prepare()
    assert trainer.micro_batch == 0, "a CPU embeds everything at once"
    monkeypatch.setattr(trainer, "device", torch.device("cuda"))
    asked = []

    def measure_on_cuda(cache, make, model):
        asked.append(make(2))
        return measured(make)

    monkeypatch.setattr("medcsp_model.trainer.measure_on_cuda", measure_on_cuda)
    monkeypatch.setattr("medcsp_model.trainer.free_memory", lambda model, most: 1000)
    assert trainer._choose_micro_batch() == 8
    monkeypatch.setattr("medcsp_model.trainer.free_memory", lambda model, most: 1400)
    assert trainer._choose_micro_batch() == 0
    report = toy.sources["cxr"].modalities["report"]
    assert asked[0].sources["cxr"].inputs["report"].x.count_nonzero(1).tolist() == [np.diff(report.offsets).max()] * 2
    assert len(set(asked[0].sources["cxr"].study_N.tolist())) == 2, "texts that differ"


def measured(make):
    return lambda count: 100 * max(len(source.records) for source in make(count).sources.values())


def test_a_single_source_trains(toy, tmp_path):
    """X-rays alone: no linked pairs, no second source, the losses across sources are 0."""
    settings = recipe(batch={"split": "retrieval"}, optimiser={"steps": 2})
    done = Trainer(Corpus.open(toy.folder), settings=settings, folder=tmp_path).run()
    assert done["loss_p"] == done["loss_d"] == 0
    assert done["loss_a"] > 0


def test_a_folder_of_another_run_names_what_differs(toy, undisturbed):
    changed = recipe().replace(loss={"tau": 0.2}, optimiser={"lr": 0.1})
    with pytest.raises(ValueError, match=r"2 differ: settings\.loss\.tau, settings\.optimiser\.lr$"):
        Trainer(toy, settings=changed, folder=undisturbed)


def test_settings_made_by_hand_are_checked_too(toy, tmp_path):
    made = recipe()
    for group, message in (
        ({"loss": replace(made.loss, centroid="leave-one-out")}, "centroid: 'leave-one-out' is none of"),
        ({"optimiser": replace(made.optimiser, clip_norm=-1.0)}, "clip_norm: must be 0 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            Trainer(toy, settings=replace(made, **group), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch": {"size": 1}}, r"settings\.batch\.size: 1, and \d+ records of 'cxr' to pass over: a batch needs two"),
        (
            {"batch": {"validation_share": 0.999999}},
            r"settings\.batch\.validation_share: 0\.999999 keeps out all \d+ records of split 'pretrain'",
        ),
        (
            {"model": recipe().to_json()["model"] | {"image": {"timm_model_name": "no_such_model"}}},
            r"settings\.model\.image: Unknown model \(no_such_model\)",
        ),
        ({"loss": dict.fromkeys(("lambda_a", "lambda_p", "lambda_d"), 0.0)}, "settings.loss: nothing to learn with"),
        ({"batch": {"sources": ["ehr"]}, "loss": {"lambda_a": 0.0}}, r"nothing to learn .* from {'ehr': 5} modalities"),
    ],
)
def test_what_cannot_train_is_refused_by_its_setting(toy, tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        Trainer(toy, settings=recipe(**changed), folder=tmp_path / "run").run()


def test_a_full_disk_is_one_line_and_keeps_what_was_saved(toy, tmp_path, monkeypatch, capfd):
    def refuse(tensors, path):
        raise SafetensorError("I/O error: No space left on device")

    folder = tmp_path / "run"
    with pytest.raises(StoppedError):
        Trainer(toy, settings=recipe(), folder=folder, should_stop=stop_after(4)).run()
    with monkeypatch.context() as patch:
        patch.setattr("medcsp_model.checkpoint.save_file", refuse)
        assert start(lambda: len(Trainer(toy, settings=recipe(), folder=folder).run())) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ") and "weights.safetensors.part" in line and "No space left" in line
    assert last_state(folder)[1]["step"] == 4


def test_two_trainings_never_write_into_one_folder(toy, tmp_path):
    def another() -> bool:
        Trainer(toy, settings=recipe(), folder=tmp_path / "run").run()
        return False

    with pytest.raises(ValueError, match="another process is training here"):
        Trainer(toy, settings=recipe(), folder=tmp_path / "run", should_stop=another).run()
    Trainer(toy, settings=recipe(), folder=tmp_path / "run").run()
