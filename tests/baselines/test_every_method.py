"""Every method on the same planted task: shapes, masks, overfitting, sizes, saving; and each repair can be undone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from medcsp_model.baselines.ehr.registry import (
    COMPARISONS,
    CRITICALITY,
    NAMES,
    OURS,
    READMISSION,
    SIMPLE,
    demo_methods,
    methods,
    methods_of,
)
from medcsp_model.evaluation import areas
from medcsp_model.evaluation.prediction import Method, Network, load_pretrained, predict
from medcsp_model.evaluation.task_data import Part, TaskData
from medcsp_model.settings import SweepSettings
from tests.another_device import DEVICE, another_device

WIDTH = 16
TABLES = ("medcsp_linear_probe", *SIMPLE)
CASES = [
    (task, name)
    for task, names in (("mortality", CRITICALITY), ("readmission", READMISSION))
    for name in names
    if name not in TABLES
]
SETTINGS = SweepSettings(max_epochs=14, patience=14, weight_decay=0.0)
POINT = {"batch_size": 16, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def every(checkpoint: Path) -> dict[str, Method]:
    return demo_methods(checkpoint=str(checkpoint), width=WIDTH)


def test_every_declared_method_exists(every: dict[str, Method], checkpoint: Path) -> None:
    named = {*CRITICALITY, *READMISSION}
    assert set(every) == named == set(NAMES) == set(methods(checkpoint=str(checkpoint)))
    assert all(method.name == NAMES[name] for name, method in every.items())
    assert {name for pair in COMPARISONS for name in pair} <= named
    assert set(methods_of(["series", "demographics"])) == set(CRITICALITY)
    assert set(methods_of(["series", "demographics", "drug"])) == set(READMISSION)


@pytest.mark.parametrize(("task", "name"), CASES)
def test_a_score_is_the_patients_own(
    task: str, name: str, every: dict[str, Method], tasks: dict[str, TaskData]
) -> None:
    method, data = every[name], tasks[task]
    assert isinstance(method, Network)
    torch.manual_seed(0)
    module = method.build(data.sizes)
    rows = np.arange(0, 40, 3)
    together = predict(module, data, rows, method.reads)
    assert together.shape == (len(rows),)
    assert together.isfinite().all()
    turned = predict(module, data, rows[::-1].copy(), method.reads).flip(0)
    alone = torch.cat([predict(module, data, rows[place : place + 1], method.reads) for place in range(len(rows))])
    torch.testing.assert_close(turned, together, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(alone, together, atol=2e-5, rtol=1e-4)
    assert together.std() > 0


@pytest.mark.parametrize("name", [name for name in READMISSION if name not in (*OURS, *SIMPLE)])
def test_padding_of_a_note_does_not_count(name: str, every: dict[str, Method], tasks: dict[str, TaskData]) -> None:
    method, data = every[name], tasks["readmission"]
    assert isinstance(method, Network)
    torch.manual_seed(0)
    module = method.build(data.sizes).eval()
    batch = data.batch(np.arange(6), method.reads)
    longest = int((batch.note_BL != 0).sum(1).max())
    assert longest < batch.note_BL.shape[1]
    with torch.no_grad():
        cut = module(replace(batch, note_BL=batch.note_BL[:, :longest]))
        torch.testing.assert_close(cut, module(batch), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("task", "name"), CASES)
def test_overfits_planted_patients(task: str, name: str, every: dict[str, Method], tasks: dict[str, TaskData]) -> None:
    method, data = every[name], tasks[task]
    rows = data.part().train[data.part().train % 12 != 7]
    part = Part("overfit", rows, rows, rows)
    pretrained = method.pretrain(data, part, settings=SETTINGS)
    fitted = method.fit(data, part, point=POINT, seed=0, settings=SETTINGS, pretrained=pretrained)
    assert bool(pretrained) == (name == "medhmp")
    assert areas.score(areas.auroc, data.label_N[rows], fitted.test) > 0.95


@pytest.mark.parametrize(("task", "name"), [("mortality", name) for name in SIMPLE] + [("readmission", TABLES[0])])
def test_references_learn_what_is_planted(
    task: str, name: str, every: dict[str, Method], tasks: dict[str, TaskData]
) -> None:
    method, data = every[name], tasks[task]
    point = method.grid(SETTINGS)[-1]
    fitted = method.fit(data, data.part(), point=point, seed=0, settings=SETTINGS, pretrained={})
    assert areas.score(areas.auroc, data.label_N[data.part().test], fitted.test) > 0.8


@pytest.mark.parametrize(("task", "name"), CASES)
def test_everything_is_computed_where_the_task_is_opened(
    task: str, name: str, every: dict[str, Method], tasks: dict[str, TaskData], monkeypatch: pytest.MonkeyPatch
) -> None:
    method, data = every[name], TaskData.open(**tasks[task].opened | {"device": DEVICE})  # type: ignore[arg-type]
    settings = replace(SETTINGS, max_epochs=1, clip_norm=1.0)
    with another_device(monkeypatch):
        pretrained = method.pretrain(data, data.part(), settings=settings)
        fitted = method.fit(data, data.part(), point=POINT, seed=0, settings=settings, pretrained=pretrained)
    assert fitted.test.shape == data.part().test.shape


@pytest.mark.parametrize(
    ("task", "name"), [case for case in CASES if case[1] in ("medcsp", "medhmp", "bert_star", "dcmn")]
)
def test_a_saved_network_scores_the_same(
    task: str, name: str, every: dict[str, Method], tasks: dict[str, TaskData], tmp_path: Path
) -> None:
    method, data = every[name], tasks[task]
    assert isinstance(method, Network)
    first, second = method.build(data.sizes), method.build(data.sizes)
    save_file({key: value.clone() for key, value in first.state_dict().items()}, tmp_path / "model.safetensors")
    load_pretrained(second, load_file(tmp_path / "model.safetensors"))
    rows = np.arange(7)
    expected = predict(first, data, rows, method.reads)
    assert torch.equal(predict(second, data, rows, method.reads), expected)
    with pytest.raises(ValueError, match="pre-train again"):
        load_pretrained(second, {"nobody.weight": torch.zeros(1)})


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def linear(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def lstm(inputs: int, width: int, layers: int = 1) -> int:
    return sum(4 * width * ((inputs if layer == 0 else width) + width + 2) for layer in range(layers))


def attention(width: int) -> int:
    return 4 * linear(width, width)


BINS, SERIES, TABLE, ICD, DRUG, VOCABULARY = 48, 1318, 73, 7686, 1701, 30522
BERT = (
    (VOCABULARY + 512 + 2) * 768
    + 2 * 768
    + 12 * (attention(768) + linear(768, 3072) + linear(3072, 768) + 2 * 2 * 768)
    + linear(768, 768)
)
CODE = {"diagnosis": ICD, "drug": DRUG}
HALF = SERIES // 2
HOURS = {
    "lstm": lstm(SERIES, 1024) + linear(1024, 512),
    "cnn": 3 * SERIES * 128 + 128 + linear(24 * 128, 512),
    "encoder": linear(SERIES, 1024)
    + 6 * (attention(1024) + linear(1024, 4096) + linear(4096, 1024) + 4 * 1024)
    + linear(1024, 512),
    "star": linear(SERIES, 1024) + 2 * (attention(1024) + 2 * 1024) + linear(1024, 512),
}


def gate(main: int, other: int) -> int:
    others = (64, other, 256, 256)
    weighs = sum(linear(main + width, 1) for width in others)
    return weighs + linear(sum(others), main) + 1 + 2 * main + linear(main, 1)


STAY = (
    lstm(SERIES, 256)
    + 2 * 256
    + lstm(256, 256, layers=2)
    + linear(TABLE, 64)
    + linear(64, 256)
    + attention(256)
    + linear(256, 1024)
    + linear(1024, 256)
    + 4 * 256
)
EXPECTED = {
    "f_lstm": lstm(SERIES + TABLE, 64) + linear(64, 64) + linear(64, 1),
    "f_cnn": 3 * (SERIES + TABLE) * 64 + 64 + 3 * 64 * 64 + 64 + linear(12 * 64, 64) + linear(64, 1),
    "raim": 2 * linear(HALF, 256)
    + linear(TABLE, 256)
    + linear(256, 1)
    + linear(256, BINS)
    + 1
    + 3 * 256 * (256 + 256 + 2)
    + linear(256, 1),
    "dcmn": 2 * (11 + linear((HALF - 10) // 5 + 1, 256) + 2 * 256 + 2 * lstm(256, 256) + linear(256, 256))
    + linear(TABLE, 256)
    + linear(256, 1),
    "medhmp": STAY
    + sum(linear(size, 256) + linear(256, 256) + 4 * 256 for size in CODE.values())
    + (BERT - linear(768, 768))
    + linear(768, 256)
    + linear(3 * 256, 256)
    + linear(4 * 256, 1),
    **{
        name: BERT + hours + linear(TABLE, 64) + linear(ICD, 256) + linear(DRUG, 256) + gate(main, other)
        for kind, hours in HOURS.items()
        for name, main, other in ((f"bert_{kind}", 768, 512), (f"{kind}_bert", 512, 768))
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_published_sizes_have_as_many_parameters_as_the_arithmetic(name: str, checkpoint: Path) -> None:
    from medcsp_model.evaluation.task_data import InputSizes

    method = methods(checkpoint=str(checkpoint))[name]
    assert isinstance(method, Network)
    words = {"diagnosis": ICD, "drug": DRUG, "vocabulary": VOCABULARY, "context": 512} if name in READMISSION else {}
    with torch.device("meta"):
        module = method.build(InputSizes(bins=BINS, series=SERIES, stays=3, demographics=TABLE, **words))
    assert count(module) == EXPECTED[name]
