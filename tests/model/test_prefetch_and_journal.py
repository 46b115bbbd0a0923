import threading

import pytest
import torch

from medcsp_model.collate import Batch, Inputs, SourceBatch
from medcsp_model.journal import append_line, cut_lines, last_line
from medcsp_model.prefetch import Prefetch, tensors_of

CPU = torch.device("cpu")


def test_the_next_item_is_made_while_this_one_is_used():
    made, begun = [], threading.Event()

    def make(step):
        made.append((step, threading.current_thread().name))
        if step == 1:
            begun.set()
        return 10 * step

    with Prefetch(make, stop=3, device=CPU) as items:
        assert items.get(0)[0] == 0
        assert begun.wait(10), "nobody asked for the next one yet"
        assert [items.get(step)[0] for step in (1, 2)] == [10, 20]
    assert [step for step, _ in made] == [0, 1, 2], "nothing beyond the last step is made"
    assert all(name.startswith("prefetch") for _, name in made)


def test_another_step_than_the_next_is_made_on_demand():
    with Prefetch(lambda step: step, stop=9, device=CPU) as items:
        assert items.get(5)[0] == 5
        assert items.get(2)[0] == 2
        assert items.get(3)[0] == 3


def test_an_error_of_the_thread_reaches_the_step_that_asks():
    def make(step):
        if step == 1:
            raise ValueError("shard 3 is gone")
        return step

    with Prefetch(make, stop=3, device=CPU) as items:
        items.get(0)
        with pytest.raises(ValueError, match="shard 3 is gone"):
            items.get(1)


def test_the_thread_is_on_the_device_of_its_process_before_it_makes_anything(monkeypatch):
    """Where it stays: a context that leaves to device 0 would take memory there for every process of a machine."""
    calls = []
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
    monkeypatch.setattr(
        torch.cuda, "set_device", lambda device: calls.append((device, threading.current_thread().name))
    )
    third = torch.device("cuda", 2)
    with Prefetch(lambda step: len(calls), stop=3, device=third) as items:
        assert [items.get(step)[0] for step in range(3)] == [1, 1, 1]
    assert [(device, name.split("_")[0]) for device, name in calls] == [(third, "prefetch")]


def test_every_tensor_of_a_batch_is_found():
    x = [torch.full((1,), float(number)) for number in range(7)]
    inputs = {"report": Inputs("text", *x[:3])}
    batch = Batch({"cxr": SourceBatch(None, *x[3:7], inputs)}, {})
    assert sorted(float(tensor) for tensor in tensors_of([batch])) == list(range(7))


def test_a_line_says_means_and_where_the_run_stands(tmp_path):
    path = tmp_path / "metrics.jsonl"
    steps = [
        {"step": step, "epoch": step / 10, "learning_rate": 0.1 * step, "loss": float(step), "num_linked": step}
        for step in (1, 2, 3)
    ]
    append_line(path, steps[:2], {"samples_per_second": 4.0})
    append_line(path, steps[2:], {})
    assert last_line(path) == steps[2]
    with path.open("a") as file:
        file.write('{"step": 4, "lo')
    cut_lines(path, 2)
    expected = {
        "step": 2,
        "epoch": 0.2,
        "learning_rate": 0.2,
        "loss": 1.5,
        "num_linked": 1.5,
        "samples_per_second": 4.0,
    }
    assert last_line(path) == expected
    assert path.read_text().count("\n") == 1
