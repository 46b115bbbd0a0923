"""Whole runs of several processes: the same weights as of one, files of the first alone, and resuming with others."""

import json
import multiprocessing
import os
import select
import signal
import sys
from datetime import timedelta

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed as dist

from medcsp_model.checkpoint import last_state
from medcsp_model.distributed import ProcessLostError, connected
from medcsp_model.settings import Settings
from medcsp_model.trainer import NonFiniteLossError, StoppedError, Trainer


def recipe(**run):
    """Without dropout or augmentation, which every process would draw for itself."""
    return Settings.from_json(
        {
            "model": {
                "embed_dim": 8,
                "hidden_dim": 4,
                "head_dropout": 0.0,
                "image": {"timm_model_name": "test_convnext", "image_size": 32},
                "text": {
                    "vocab_size": 0,
                    "width": 8,
                    "num_layers": 1,
                    "num_heads": 2,
                    "mlp_width": 8,
                    "pad_to": 4,
                    "dropout": 0.0,
                },
            },
            "batch": {"size": 7},
            "optimiser": {"steps": 4, "lr": 1e-3, "tower_lr": 1e-3, "clip_norm": 1.0},
            "run": {"precision": "float64", "num_threads": 1, "log_every": 2, "save_every": 100} | run,
        }
    )


@pytest.fixture(scope="module")
def alone(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    Trainer(toy, settings=recipe(), folder=folder).run()
    return folder


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_then_three_train_the_weights_of_one(toy, alone, tmp_path, as_processes):
    """With threads of their own: more processes, each with the threads of fewer, would be more than there are cores."""
    settings = recipe(num_threads=0)

    def stopped(ranks):
        torch.get_num_threads = lambda: 2  # a fork must not really have them: its parent's are not there
        answers = iter([False, ranks.rank == 1])
        with pytest.raises(StoppedError, match="after step 2 of 4"):
            Trainer(toy, settings=settings, folder=tmp_path, should_stop=lambda: next(answers), ranks=ranks).run()

    as_processes(2, stopped)
    state = last_state(tmp_path)
    assert state is not None
    assert (state[1]["step"], state[1]["num_ranks"]) == (2, 2)

    def goes_on(ranks):
        torch.set_num_threads = None  # whoever calls it fails
        done = Trainer(toy, settings=settings, folder=tmp_path, ranks=ranks).run()
        assert (done["num_processes"], done["num_threads"]) == (3, 1)

    as_processes(3, goes_on)
    found, expected = load_file(tmp_path / "model.safetensors"), load_file(alone / "model.safetensors")
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-9)
    assert [line["step"] for line in lines(tmp_path)] == [2, 4]
    for line, same in zip(lines(tmp_path), lines(alone), strict=True):
        for key in ("loss", "loss_a", "loss_p", "loss_d", "grad_norm", "num_linked"):
            assert line[key] == pytest.approx(same[key], rel=1e-8)
        for key in (key for key in same if key.startswith("logit_")):
            assert line[key] == pytest.approx(same[key], rel=1e-6)


def test_each_process_draws_random_numbers_of_its_own(toy, tmp_path, as_processes):
    def draws(ranks):
        Trainer(toy, settings=recipe(), folder=tmp_path, ranks=ranks).run()
        drawn = torch.rand(1)  # goes on where the last step began
        assert ranks.sum(drawn) != ranks.size * drawn

    as_processes(2, draws)


def test_a_bad_number_in_one_process_stops_all(toy, tmp_path, as_processes):
    def poisoned(ranks):
        trainer = Trainer(toy, settings=recipe(), folder=tmp_path, ranks=ranks)
        prepare = trainer._prepare

        def spoil():
            start = prepare()
            if ranks.rank == 1:
                with torch.no_grad():
                    trainer.model.head.weight[0] = torch.nan
            return start

        trainer._prepare = spoil
        with pytest.raises(NonFiniteLossError, match="step 1: loss nan"):
            trainer.run()

    as_processes(2, poisoned)
    assert len(json.loads((tmp_path / "non_finite_step_1.json").read_text())["records"]["ehr"]) == 7


@pytest.mark.parametrize(("place", "size"), [("input", 2), ("step", 3), ("save", 2)])
def test_a_failure_of_one_process_ends_all(toy, tmp_path, as_processes, place, size):
    """One process alone fails in reading, computing or writing: it ends by its error, the others by one about it."""
    culprit = 0 if place == "save" else 1

    def fails(ranks):
        trainer = Trainer(toy, settings=recipe(save_every=2), folder=tmp_path, ranks=ranks)
        if ranks.rank == culprit:
            spoil(trainer, place)
        try:
            trainer.run()
        except OSError:
            sys.exit(3)
        except ProcessLostError as error:
            assert "another process of the run ended" in str(error)
            sys.exit(4)

    as_processes(size, fails, statuses=[3 if rank == culprit else 4 for rank in range(size)])
    assert not (tmp_path / "done.json").exists()


def spoil(trainer, place):
    name = {"input": "_work", "step": "_step", "save": "_save"}[place]
    method = getattr(trainer, name)

    def spoiled(step, *values, **named):
        if step == 2:
            raise OSError("shard 3 is gone")
        return method(step, *values, **named)

    setattr(trainer, name, spoiled)


def test_processes_wait_for_each_other_so_long(monkeypatch):
    waits = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **options: waits.append(options["timeout"]))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: waits.append(None))
    with connected("cpu", timeout_seconds=7) as ranks:
        assert ranks.size == 2
    assert waits == [timedelta(seconds=7), None]
    with pytest.raises(KeyError), connected("cpu"):
        raise KeyError
    assert len(waits) == 3, "who leaves with an error says no farewell"


def test_processes_end_with_what_started_them(as_processes):
    """A pipe that they alone hold open closes behind them, though nobody is left who could end them."""
    said, saying = os.pipe()

    def wait(ranks):
        os.write(saying, b".")
        signal.alarm(60)  # so that a failure leaves nobody behind
        signal.pause()

    starter = multiprocessing.get_context("fork").Process(target=as_processes, args=(2, wait))
    starter.start()
    os.close(saying)
    assert [os.read(said, 1), os.read(said, 1)] == [b".", b"."]
    starter.kill()
    assert select.select([said], [], [], 30)[0], "they outlive it"
    assert os.read(said, 1) == b""
    starter.join()
    os.close(said)
