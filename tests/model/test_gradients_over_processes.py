"""A batch's gradient is the same, whoever computes it: one process, several, or one in parts."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from medcsp_model.collate import Batch, Collate
from medcsp_model.distributed import Ranks, choose_device
from medcsp_model.gradient_cache import (
    GradientCache,
    ReplayError,
    fitting_micro_batch,
    free_memory,
    measure_on_cuda,
)
from medcsp_model.model import MedCSP, ModelDescription
from medcsp_model.settings import Settings
from medcsp_model.step import add_gradients
from medcsp_model.work import cut, make_work

TINY = {
    "embed_dim": 8,
    "hidden_dim": 4,
    "head_dropout": 0.0,
    "image": {"timm_model_name": "test_convnext", "image_size": 32},
    "text": {"vocab_size": 0, "width": 8, "num_layers": 1, "num_heads": 2, "mlp_width": 8, "pad_to": 4, "dropout": 0.0},
}


class OneBatch:
    """A plan of a single batch."""

    def __init__(self, **records):
        self.num_anchors, self.size = 1, 1
        self.records = {name: np.array(rows) for name, rows in records.items()}

    def batch(self, step):
        return self.records


def settings_of(precision, dropout=0.0):
    model = TINY | {"head_dropout": dropout, "text": TINY["text"] | {"dropout": dropout}}
    return Settings.from_json({"model": model, "run": {"precision": precision}, "loss": {"tile": 4}})


def gradients_of(corpus, records, *, settings, ranks=None, micro_batch=0, seeds=range(100)):
    """Gradients by parameter and losses of a batch, computed by this process as one of some."""
    ranks = ranks or Ranks()
    torch.manual_seed(3)
    model = MedCSP(ModelDescription.of_corpus(corpus, settings=settings)).train()
    if settings.run.precision == "float64":
        model.double()
    collate = Collate(corpus, device=torch.device("cpu"), pad_to=4, context_length=512, encode_distinct=False)
    cache = GradientCache(model, ranks=ranks, precision=settings.run.precision)
    work = make_work(0, plan=OneBatch(**records), collate=collate, ranks=ranks, micro_batch=micro_batch)
    seeds = list(seeds)[: len(work.parts)]
    values = add_gradients(work, cache=cache, ranks=ranks, settings=settings.loss, seeds=seeds)
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return gradients, {name: float(value) for name, value in values.items()}, len(work.parts)


def distance(left, right):
    """Of two gradients, relative."""
    assert left.keys() == right.keys()
    apart = sum(float((left[name] - right[name]).square().sum()) for name in left)
    return (apart / sum(float(value.square().sum()) for value in right.values())) ** 0.5


# The toy's EHR records 0.. and X-rays of other and of the same subjects; 7 and 5 divide neither by 2 nor by 3.
LINKED = {"ehr": [0, 1, 2, 3, 5, 8, 13], "cxr": [3, 4, 6, 7, 8]}
UNLINKED = {"ehr": [0, 1, 2, 3, 5], "cxr": [40, 41, 44, 45, 46, 50, 51, 52]}
FEWER_THAN_PROCESSES = {"ehr": [0], "cxr": [3, 4, 6, 7]}


@pytest.mark.parametrize(
    ("size", "records", "precision", "exact"),
    [
        (2, LINKED, "float64", 1e-12),
        (3, LINKED, "float64", 1e-12),
        (3, UNLINKED, "float64", 1e-12),
        (3, FEWER_THAN_PROCESSES, "float64", 1e-12),
        (2, LINKED, "float32", 1e-6),
        (3, LINKED, "float32", 1e-6),
    ],
)
def test_processes_compute_the_gradient_of_one(toy, tmp_path, as_processes, size, precision, exact, records):
    settings = settings_of(precision)
    torch.set_num_threads(1)
    alone, values, _ = gradients_of(toy, records, settings=settings)
    assert (values["p"] > 0) == (records is not UNLINKED)

    def one_of_them(ranks):
        gradients, same = gradients_of(toy, records, settings=settings, ranks=ranks)[:2]
        assert same == pytest.approx(values, rel=10 * exact, abs=1e-12)
        save_file(gradients, tmp_path / f"{ranks.rank}.safetensors")

    as_processes(size, one_of_them)
    for rank in range(size):
        assert distance(load_file(tmp_path / f"{rank}.safetensors"), alone) < exact


@pytest.mark.parametrize("micro_batch", [1, 3, 6])
def test_parts_compute_the_gradient_of_the_whole(toy, micro_batch):
    settings = settings_of("float64")
    whole, values, one = gradients_of(toy, LINKED, settings=settings)
    parts, same, count = gradients_of(toy, LINKED, settings=settings, micro_batch=micro_batch)
    assert one == 1
    assert count == -(-7 // micro_batch)
    assert same == pytest.approx(values, rel=1e-12)
    assert distance(parts, whole) < 1e-12


def test_processes_with_parts_compute_the_gradient_of_one(toy, tmp_path, as_processes):
    settings = settings_of("float64")
    alone = gradients_of(toy, LINKED, settings=settings)[0]

    def one_of_them(ranks):
        gradients, _, count = gradients_of(toy, LINKED, settings=settings, ranks=ranks, micro_batch=2)
        assert count == 2
        save_file(gradients, tmp_path / f"{ranks.rank}.safetensors")

    as_processes(2, one_of_them)
    for rank in range(2):
        assert distance(load_file(tmp_path / f"{rank}.safetensors"), alone) < 1e-12


def test_a_part_is_embedded_again_with_the_same_random_numbers(toy):
    """The gradient of a sum of embeddings, in parts, against the parts' own sums with the seeds they were given."""
    settings = settings_of("float64", dropout=0.5)
    torch.manual_seed(3)
    model = MedCSP(ModelDescription.of_corpus(toy, settings=settings)).train().double()
    collate = Collate(toy, device=torch.device("cpu"), pad_to=4, context_length=512)
    work = make_work(0, plan=OneBatch(**LINKED), collate=collate, ranks=Ranks(), micro_batch=3)
    cache, seeds = GradientCache(model, ranks=Ranks(), precision="float64"), [11, 12, 13]
    embedded = cache.embed(work.parts, seeds=seeds)
    gradient = {name: torch.randn_like(e_NMD) for name, e_NMD in embedded.items()}
    cache.backward(work.parts, seeds=seeds, gradient=gradient)
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    start = dict.fromkeys(gradient, 0)
    for part, seed in zip(work.parts, seeds, strict=True):
        torch.manual_seed(seed)
        for name, source in model(part).items():
            rows = slice(start[name], start[name] + len(source.e_NMD))
            start[name] = rows.stop
            assert torch.equal(source.e_NMD.detach(), embedded[name][rows])
            if source.e_NMD.requires_grad:
                (source.e_NMD * gradient[name][rows]).sum().backward(retain_graph=True)
    expected = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert distance(found, expected) < 1e-12


@pytest.mark.parametrize(("dropout", "is_refused"), [(0.5, True), (0.0, False)])
def test_a_part_that_comes_out_differently_is_refused(toy, monkeypatch, dropout, is_refused):
    """As from a compiler that draws in another order where a gradient is wanted."""
    settings = settings_of("float32", dropout=dropout)
    monkeypatch.setattr("medcsp_model.gradient_cache.torch.manual_seed", lambda _: None)
    refusal = pytest.raises(ReplayError, match=r"cxr: records embedded twice .* apart|ehr: records embedded twice")
    with refusal if is_refused else nullcontext():
        gradients_of(toy, LINKED, settings=settings, micro_batch=3)


def test_what_processes_tell_each_other(as_processes):
    def one_of_them(ranks):
        assert ranks.any(ranks.rank == 1)
        assert not ranks.any(False)
        assert ranks.smallest(10 - ranks.rank) == 10 - (ranks.size - 1)
        assert ranks.from_first(7 + ranks.rank) == 7
        assert ranks.sum(torch.tensor([ranks.rank])).tolist() == [1]

    as_processes(2, one_of_them)


def test_shares_cover_a_batch_evenly():
    for total in (0, 1, 7, 128):
        shares = [Ranks(rank, 3).share(total) for rank in range(3)]
        assert [row for share in shares for row in share] == list(range(total))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_parts_are_no_longer_than_asked():
    parts = cut({"ehr": range(10, 17), "cxr": range(4, 6)}, 3)
    assert [part["ehr"] for part in parts] == [slice(10, 13), slice(13, 16), slice(16, 17)]
    assert [part["cxr"] for part in parts] == [slice(4, 6), slice(6, 6), slice(6, 6)]
    assert cut({"ehr": range(7)}, 0) == [{"ehr": slice(0, 7)}]


def test_the_largest_part_that_fits():
    def measure(count):
        return 1000 + 50 * count

    assert fitting_micro_batch(measure, size=128, free=10_000) == 128
    assert fitting_micro_batch(measure, size=256, free=10_000) == 176
    assert fitting_micro_batch(measure, size=128, free=measure(8)) == 8
    assert fitting_micro_batch(measure, size=6, free=0) == 6
    with pytest.raises(ValueError, match="8 records of each source take"):
        fitting_micro_batch(measure, size=128, free=1200)


def test_a_process_takes_the_device_of_its_number_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match="process 0 of this machine finds 0 CUDA devices"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto", local_rank=1) == torch.device("cuda", 1)
    assert choose_device("cpu", local_rank=5) == torch.device("cpu")
    with pytest.raises(ValueError, match="process 2 of this machine finds 2 CUDA devices"):
        choose_device("auto", local_rank=2)


@pytest.mark.parametrize(("most", "free"), [(0.0, 700), (900.0, 700), (600.0, 500)])
def test_what_is_free_is_what_nobody_holds_or_as_much_as_the_settings_grant(monkeypatch, most, free):
    """Of 1000 bytes others hold 200; this process 100, and 50 that it gave back to its own store alone."""
    model = torch.nn.Linear(5, 4, bias=False)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (650, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 150)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 100)
    moments = 2 * 4 * 20
    assert free_memory(model, most=most) == int(0.85 * free) - moments


def test_memory_is_measured_over_both_passes(toy, monkeypatch):
    """The device's own numbers are made up here: what counts is between which calls they are read."""
    settings = settings_of("float32")
    model = MedCSP(ModelDescription.of_corpus(toy, settings=settings)).train()
    collate = Collate(toy, device=torch.device("cpu"), pad_to=4, context_length=512)
    cache, heard = GradientCache(model, ranks=Ranks(), precision="float32"), []

    def peak():
        heard.append(model.head.weight.grad is not None)
        return 700

    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 100)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", peak)

    def make(count):
        return Batch({"cxr": collate.source("cxr", np.arange(count))}, {})

    assert measure_on_cuda(cache, make, model=model)(8) == 600
    assert heard == [True], "the peak is read once gradients are there"
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_number_that_does_not_fit_is_no_error_but_fewer(monkeypatch):
    """Of a device of 6 GB with 3.5 free, 8 records take 2.2 and 16 more than there is."""
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 0)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 22 * 10**8)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (35 * 10**8, 60 * 10**8))

    class Cache:
        def embed(self, parts, *, seeds):
            if parts == [16]:
                raise torch.OutOfMemoryError
            return {}

        def backward(self, parts, *, seeds, gradient):
            pass

    measure = measure_on_cuda(Cache(), lambda count: count, model=torch.nn.Linear(1, 1))
    assert fitting_micro_batch(measure, size=128, free=35 * 10**8) == 8
