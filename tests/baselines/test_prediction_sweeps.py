"""Sweeps: the same numbers again, resumed where they stopped, chosen by validation alone; what a task may lack."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from torch import Tensor, nn

from medcsp_model.baselines.ehr.f_lstm import FLstm, FLstmNetwork
from medcsp_model.baselines.ehr.medhmp import MedHmp
from medcsp_model.baselines.ehr.medhmp_pretraining import Stage
from medcsp_model.baselines.ehr.registry import demo_methods
from medcsp_model.corpus import Corpus
from medcsp_model.evaluation.prediction import Fitted, Method, Network, Point
from medcsp_model.evaluation.sweep import Sweep
from medcsp_model.evaluation.task_data import InputSizes, Part, TaskBatch, TaskData
from medcsp_model.settings import SweepSettings

SMALL = SweepSettings(batch_sizes=(8, 32), learning_rates=(1e-4, 1e-2), seeds=(0, 1), max_epochs=3, patience=2)


def sweep(data: TaskData, folder: Path, *, method: Method | None = None, code: str = "first", **changes: Any) -> Sweep:
    settings = replace(SMALL, **changes)
    method = method or FLstm(hidden_dim=8, head_dim=8)
    return Sweep(method, data, data.part(), code=code, folder=folder, settings=settings)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def test_a_sweep_is_the_grid_once_and_the_best_point_again(tasks: dict[str, TaskData], tmp_path: Path) -> None:
    data = tasks["mortality"]
    result = sweep(data, tmp_path).run()
    found = lines(tmp_path)
    assert (len(found), result.num_trained, result.num_resumed) == (5, 5, 0)
    searched = [line for line in found if line["seed"] == 0]
    best = max(searched, key=lambda line: (line["said"]["auroc"], -line["said"]["loss"]))
    assert result.point == best["point"]
    assert [trial.line["seed"] for trial in result.trials] == [0, 1]
    assert result.score_SN.shape == (2, len(data.part().test))
    assert all({"seconds", "seconds_of_data", "best_epoch", "num_parameters"} <= set(line) for line in found)
    assert (found[0]["method"], found[0]["cohort"], found[0]["part"]) == ("F-LSTM", "carevue", "split")


def test_a_killed_sweep_goes_on_and_gives_the_same(tasks: dict[str, TaskData], tmp_path: Path) -> None:
    data = tasks["mortality"]
    whole = sweep(data, tmp_path / "whole").run()
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    path = tmp_path / "killed" / "trials.jsonl"
    kept = path.read_text().splitlines(keepends=True)
    (tmp_path / "killed" / "scores" / f"{json.loads(kept[0])['key']}.npy").unlink()
    path.write_text("".join(kept[:3]) + kept[3][:40])
    again = sweep(data, tmp_path / "killed").run()
    assert (again.num_trained, again.num_resumed) == (3, 2)
    assert again.point == whole.point
    assert np.array_equal(again.score_SN, whole.score_SN)
    once_more = sweep(data, tmp_path / "killed").run()
    assert once_more.num_trained == 0
    assert np.array_equal(once_more.score_SN, whole.score_SN)


def test_other_settings_are_other_trials(tasks: dict[str, TaskData], tmp_path: Path) -> None:
    data = tasks["mortality"]
    one = {"batch_sizes": (32,), "learning_rates": (1e-2,), "seeds": (0,), "max_epochs": 1}
    assert sweep(data, tmp_path, **one).run().num_trained == 1
    assert sweep(data, tmp_path, **one).run().num_trained == 0
    assert sweep(data, tmp_path, **one, clip_norm=0.0).run().num_trained == 1
    assert sweep(data, tmp_path, **one, method=FLstm(hidden_dim=9, head_dim=8)).run().num_trained == 1
    fewer = Sweep(
        FLstm(hidden_dim=8, head_dim=8),
        data,
        data.fewer(data.part(), positives=4, draw=0),
        code="first",
        folder=tmp_path,
        settings=replace(SMALL, **one),
    )
    assert fewer.run().num_trained == 1


def test_what_other_code_trained_is_not_found(
    tasks: dict[str, TaskData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, one = tasks["mortality"], {"batch_sizes": (32,), "learning_rates": (1e-2,), "seeds": (0,), "max_epochs": 1}
    before = sweep(data, tmp_path, **one).run()
    forward = FLstmNetwork.forward
    monkeypatch.setattr(FLstmNetwork, "forward", lambda network, batch: 3 * forward(network, batch))
    after = sweep(data, tmp_path, code="repaired", **one).run()
    assert (after.num_trained, after.num_resumed) == (1, 0)
    assert not np.allclose(after.score_SN, before.score_SN)
    assert [line["code"] for line in lines(tmp_path)] == ["first", "repaired"]
    assert np.array_equal(sweep(data, tmp_path, **one).run().score_SN, before.score_SN)


def test_several_processes_give_the_same(tasks: dict[str, TaskData], tmp_path: Path) -> None:
    data = tasks["mortality"]
    few = {"batch_sizes": (32,), "seeds": (0,), "max_epochs": 1}
    alone = sweep(data, tmp_path / "alone", **few).run()
    shared = sweep(data, tmp_path / "shared", num_workers=2, **few).run()
    assert np.array_equal(shared.score_SN, alone.score_SN)


@dataclass(frozen=True, kw_only=True)
class Oracle(Method):
    """Knows the test at one point and the validation at the other."""

    name: str = "oracle"
    reads: ClassVar[tuple[str, ...]] = ()

    def grid(self, settings: SweepSettings) -> list[Point]:
        return [{"knows_test": 1.0}, {"knows_test": 0.0}]

    def fit(
        self,
        data: TaskData,
        part: Part,
        *,
        point: Point,
        seed: int,
        settings: SweepSettings,
        pretrained: Mapping[str, Tensor],
    ) -> Fitted:
        knows = [not point["knows_test"], bool(point["knows_test"])]
        risks = [
            np.where(data.label_N[rows] == known, 0.9, 0.1)
            for rows, known in zip((part.validation, part.test), knows, strict=True)
        ]
        return Fitted(*risks, {})


def test_only_validation_chooses(tasks: dict[str, TaskData], tmp_path: Path) -> None:
    for monitor in ("auroc", "average_precision", "loss"):
        result = sweep(tasks["mortality"], tmp_path / monitor, method=Oracle(), monitor=monitor).run()
        assert result.point == {"knows_test": 0.0}


class Constant(nn.Module):
    """A logit that only its bias changes."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Linear(1, 1)

    def forward(self, batch: TaskBatch) -> Tensor:
        logit: Tensor = self.bias(batch.demographics_BE[:, :1] * 0)[:, 0]
        return logit


@dataclass(frozen=True, kw_only=True)
class Stubborn(Network):
    """Its validation has a loss that rises after the second epoch."""

    name: str = "stubborn"
    reads: ClassVar[tuple[str, ...]] = ("demographics",)
    losses: tuple[float, ...] = (0.5, 0.4, 0.6, 0.7, 0.3)

    def build(self, sizes: InputSizes) -> nn.Module:
        return Constant()

    def validation_loss(self, logit_N: Tensor, label_N: Tensor) -> Tensor:
        SEEN.append(len(SEEN))
        return logit_N.new_tensor(self.losses[SEEN[-1]])


SEEN: list[int] = []


def test_training_stops_when_validation_is_not_better(tasks: dict[str, TaskData]) -> None:
    data = tasks["mortality"]
    point = {"batch_size": 32, "learning_rate": 1e-2}
    for losses, epochs, best in (((0.5, 0.4, 0.6, 0.7, 0.3), 4, 2), ((float("nan"),), 1, 0)):
        SEEN.clear()
        settings = replace(SMALL, monitor="loss", max_epochs=5)
        fitted = Stubborn(losses=losses).fit(data, data.part(), point=point, seed=0, settings=settings, pretrained={})
        assert (fitted.facts["epochs"], fitted.facts["best_epoch"]) == (epochs, best)
        assert np.isfinite(fitted.test).all()


def test_pretraining_is_done_once_and_on_a_corpus_of_the_same_features(
    tasks: dict[str, TaskData], folders: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    stage = Stage(epochs=1, batch_size=64, learning_rate=1e-3)
    small = {"width": 8, "num_heads": 2, "stays": stage, "admissions": stage, "corpus_split": "evaluation"}
    method = MedHmp(corpus=str(folders["readmission"]), **small)
    one = {"batch_sizes": (32,), "learning_rates": (1e-2, 1e-3), "seeds": (0,), "max_epochs": 1}
    sweep(tasks["mortality"], tmp_path, method=method, **one).run()
    assert [record.message for record in caplog.records].count("MedHMP: pre-training") == 1
    assert len(list((tmp_path / "pretrained").iterdir())) == 1
    sweep(tasks["mortality"], tmp_path, method=method, code="repaired", **one).run()
    assert len(list((tmp_path / "pretrained").iterdir())) == 2, "other code pre-trains again"
    sizes = replace(tasks["mortality"].sizes, series=99)
    other = replace(tasks["mortality"])
    object.__setattr__(other, "inputs", _with_sizes(other, sizes))
    with pytest.raises(ValueError, match="series is 14, the task's 99: publish both with the same vocabularies"):
        method.pretrain(other, other.part(), settings=SMALL)


def _with_sizes(data: TaskData, sizes: InputSizes) -> Any:
    inputs = type(data.inputs)(Corpus.open(data.inputs.corpus.folder))
    inputs.sizes = sizes
    return inputs


def test_what_a_task_lacks(tasks: dict[str, TaskData], checkpoint: Path, tmp_path: Path) -> None:
    methods = demo_methods(checkpoint=str(checkpoint), width=8)
    with pytest.raises(ValueError, match="BertLstm needs note"):
        sweep(tasks["mortality"], tmp_path, method=methods["bert_lstm"]).run()
    opened = TaskData.open(
        **tasks["readmission"].opened | {"without": ("diagnosis",)}  # type: ignore[arg-type]
    )
    assert (opened.sizes.diagnosis, opened.sizes.drug) == (0, 7)
    assert opened.fingerprint != tasks["readmission"].fingerprint
    one = {"batch_sizes": (32,), "learning_rates": (1e-2,), "seeds": (0,), "max_epochs": 1}
    for name in ("bert_cnn", "medcsp", "medhmp", "gradient_boosting"):
        result = sweep(opened, tmp_path / name, method=methods[name], **one).run()
        assert np.isfinite(result.score_SN).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [({"seeds": []}, "seeds"), ({"patience": 0}, "patience"), ({"batch": 3}, "unknown key 'batch'")],
)
def test_settings_that_cannot_be(values: dict[str, Any], message: str) -> None:
    assert SweepSettings.from_json(SMALL.to_json()) == SMALL
    with pytest.raises(ValueError, match=message):
        SweepSettings.from_json(values)
