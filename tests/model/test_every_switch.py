"""Every setting is a switch that can be turned alone, trains a step, and changes what it should and nothing before it.

A run is observed from its plan to its weights; each switch names what is different, in this order:

    plan      who meets in the first batches          inputs    their tensors
    start     the weights before the first step       a, p, d   the losses of the first step
    total     their weighted sum                      rate      learning rates and weight decay by step
    weights   after two steps                         compiled, threads, parts, precision: how it was computed
"""

import dataclasses
from pathlib import Path

import pytest
import torch

from medcsp_model.export import export_towers
from medcsp_model.model import MedCSP, ModelDescription
from medcsp_model.settings import Settings, default, paper
from medcsp_model.trainer import Trainer, learning_rate

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "method.md"
STEPS = 40
EVERYTHING_AFTER_THE_PLAN = "plan inputs a p d total weights"
LOSSES = "a p d total weights"
MODEL = "start a p d total weights"

# switch: (another value than `paper()`, what must differ, other settings without which it has nothing to say)
SWITCHES = {
    "model.embed_dim": (12, MODEL, {}),
    "model.hidden_dim": (6, MODEL, {}),
    "model.head": ("norm", LOSSES, {}),
    "model.head_dropout": (0.5, LOSSES, {"model.head": "relu_norm"}),
    "model.absent": ("masked", "inputs a p d total weights", {}),
    "model.series_state": ("hidden", LOSSES, {}),
    "model.average_padded_stays": (False, LOSSES, {}),
    "model.towers_folder": ("exported", MODEL, {}),
    "model.image.timm_model_name": ("test_convnext", MODEL, {}),
    "model.image.image_size": (48, LOSSES, {}),
    "model.image.pool": ("avg", LOSSES, {}),
    "model.image.mean": ([0.1, 0.2, 0.3], LOSSES, {}),
    "model.image.std": ([0.9, 0.5, 0.4], LOSSES, {}),
    "model.text.vocab_size": (50, MODEL, {}),
    "model.text.context_length": (64, MODEL, {}),
    "model.text.width": (12, MODEL, {}),
    "model.text.num_layers": (2, MODEL, {}),
    "model.text.num_heads": (1, LOSSES, {}),
    "model.text.mlp_width": (12, MODEL, {}),
    "model.text.dropout": (0.5, LOSSES, {}),
    "model.text.proj": ("linear", MODEL, {}),
    "model.text.pooler": ("mean_pooler", LOSSES, {}),
    "model.text.pad_to": (16, "inputs", {}),
    "model.text.encode_distinct": (False, "inputs", {}),
    "loss.tau": (0.2, LOSSES, {}),
    "loss.lambda_a": (0.0, "total weights", {}),
    "loss.lambda_p": (0.0, "total weights", {}),
    "loss.lambda_d": (0.0, "total weights", {}),
    "loss.centroid": ("leave_one_out", "a total weights", {}),
    "loss.a_negatives": ("study", "a total weights", {}),
    "loss.a_modalities": ("sum", "a total weights", {}),
    "loss.p_positives": ("all", "p total weights", {}),
    "loss.directions": ("both", "p d total weights", {}),
    "loss.d_target": ("softmax", "d total weights", {}),
    "loss.tau_d": (0.5, "d total weights", {"loss.d_target": "softmax"}),
    "loss.d_exclude_same_patient": (True, "d total weights", {}),
    "loss.d_require_history": (True, "d total weights", {}),
    "loss.tile": (3, "", {}),
    "batch.plan": ("linked", EVERYTHING_AFTER_THE_PLAN, {}),
    "batch.size": (6, EVERYTHING_AFTER_THE_PLAN, {}),
    "batch.share": (0.1, EVERYTHING_AFTER_THE_PLAN, {"batch.plan": "linked", "batch.size": 8}),
    "batch.max_draws": (1, EVERYTHING_AFTER_THE_PLAN, {"batch.plan": "linked"}),
    "batch.anchor": ("ehr", EVERYTHING_AFTER_THE_PLAN, {"batch.plan": "linked", "batch.size": 8}),
    "batch.sources": (["cxr"], EVERYTHING_AFTER_THE_PLAN, {}),
    "batch.split": ("retrieval", EVERYTHING_AFTER_THE_PLAN, {}),
    "batch.validation_share": (0.3, EVERYTHING_AFTER_THE_PLAN, {}),
    "batch.validation_seed": (1, EVERYTHING_AFTER_THE_PLAN, {"batch.validation_share": 0.3}),
    "augmentation.shift": (0.2, LOSSES, {}),
    "augmentation.scale": (0.2, LOSSES, {}),
    "augmentation.rotate_degrees": (30.0, LOSSES, {}),
    "augmentation.brightness": (0.3, LOSSES, {}),
    "augmentation.contrast": (0.5, LOSSES, {}),
    "augmentation.noise": (0.2, LOSSES, {}),
    "optimiser.epochs": (1.0, "rate weights", {"optimiser.steps": 0, "optimiser.schedule": "cosine"}),
    "optimiser.steps": (3, "rate weights", {"optimiser.schedule": "cosine"}),
    "optimiser.lr": (1e-2, "rate weights", {}),
    "optimiser.tower_lr": (1e-2, "rate weights", {}),
    "optimiser.weight_decay": (0.5, "rate weights", {}),
    "optimiser.decay_norms": (False, "rate weights", {"optimiser.weight_decay": 0.5}),
    "optimiser.betas": ([0.5, 0.9], "weights", {}),
    "optimiser.warmup_share": (0.05, "rate weights", {}),
    "optimiser.schedule": ("cosine", "rate weights", {}),
    "optimiser.clip_norm": (1e-3, "weights", {}),
    "optimiser.lr_rule": ("sqrt", "rate weights", {}),
    "optimiser.reference_batch": (32, "rate weights", {"optimiser.lr_rule": "linear"}),
    "run.seed": (1, "plan inputs start a p d total weights", {}),
    "run.device": ("cpu", "", {}),
    "run.precision": ("bfloat16", "precision a p d total weights", {}),
    "run.micro_batch": (3, "inputs parts", {}),
    "run.memory_gb": (8.0, "", {}),
    "run.compile": ("on", "compiled", {}),
    "run.num_threads": (2, "threads", {}),
}
# what files say and when, and how long processes wait: tests of their own, below and in test_training_over_processes.py
ELSEWHERE = {"run.log_every", "run.save_every", "run.validate_every", "run.timeout_seconds"}


def leaves(plain, path=""):
    """Dotted path and value of every field."""
    if not isinstance(plain, dict):
        return {path: plain}
    found = {}
    for key, value in plain.items():
        found |= leaves(value, f"{path}.{key}" if path else key)
    return found


def with_changes(settings, changes):
    plain = settings.to_json()
    for path, value in changes.items():
        *groups, name = path.split(".")
        place = plain
        for group in groups:
            place = place[group]
        assert name in place
        place[name] = value
    return Settings.from_json(plain)


def small(recipe):
    """A recipe at a size that trains in a blink; without dropout and in float64, so that nothing else shows."""
    rates = {f"optimiser.{name}": 100 * getattr(recipe.optimiser, name) for name in ("lr", "tower_lr")}
    sizes = {"width": 8, "num_layers": 1, "num_heads": 2, "mlp_width": 8, "pad_to": 4, "vocab_size": 0, "dropout": 0.0}
    sizes = {f"model.text.{name}": value for name, value in sizes.items()}
    return with_changes(
        recipe,
        rates
        | sizes
        | {
            "model.embed_dim": 8,
            "model.hidden_dim": 4,
            "model.head_dropout": 0.0,
            "model.image.timm_model_name": "test_vit",
            "model.image.image_size": 32,
            "batch.size": 24,
            "batch.validation_seed": 7,  # by which two in a hundred are one subject of the toy corpus
            "optimiser.steps": STEPS,
            "run.num_threads": 1,
            "run.precision": "float64",
        },
    )


class Observer:
    """Trains two steps and tells what there was to see; the same settings once."""

    def __init__(self, corpus, folder, monkeypatch):
        self.corpus, self.folder, self.seen, self.compiled = corpus, folder, {}, []
        monkeypatch.setattr("medcsp_model.model.compile_towers", lambda *_, **sizes: self.compiled.append(sizes))

    def __call__(self, settings):
        key = str(settings)
        if key not in self.seen:
            self.seen[key] = self._look(settings, self.folder / str(len(self.seen)))
        return self.seen[key]

    def _look(self, settings, folder):
        self.compiled.clear()
        trainer = Trainer(self.corpus, settings=settings, folder=folder)
        trainer._prepare()
        start = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        works = [trainer._work(step) for step in range(2)]
        lines = [trainer._step(step, work, 0.0)[0] for step, work in enumerate(works)]
        groups = trainer.optimiser.param_groups
        everyone = torch.cat([value.flatten() for value in trainer.model.state_dict().values()])
        assert torch.isfinite(everyone).all()
        factors = [learning_rate(step, total=trainer.total, settings=settings.optimiser) for step in range(STEPS)]
        decay = {(group["base_lr"], p.ndim > 1, group["weight_decay"]) for group in groups for p in group["params"]}
        assert lines[0]["learning_rate"] == settings.optimiser.lr * trainer.batch_factor * factors[0]
        return {
            "plan": [{name: rows.tolist() for name, rows in trainer.plan.batch(step).items()} for step in range(3)],
            "inputs": [
                tensor
                for part in works[0].parts
                for source in part.sources.values()
                for inputs in source.inputs.values()
                for tensor in (inputs.x, inputs.rows)
            ],
            "start": start,
            "a": lines[0]["loss_a"],
            "p": lines[0]["loss_p"],
            "d": lines[0]["loss_d"],
            "total": lines[0]["loss"],
            "rate": [factors, trainer.batch_factor, sorted(decay)],
            "weights": trainer.model.state_dict(),
            "compiled": len(self.compiled),
            "threads": torch.get_num_threads(),
            "parts": len(works[0].parts),
            "precision": trainer.cache._alone.precision,
        }


def alike(left, right):
    """Equal, numbers up to what another order of summation changes."""
    if isinstance(left, float):
        return left == pytest.approx(right, rel=1e-9, abs=1e-12)
    if isinstance(left, torch.Tensor):
        return left.shape == right.shape and torch.allclose(left.double(), right.double(), rtol=1e-8, atol=1e-7)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(alike(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(alike(*pair) for pair in zip(left, right, strict=True))
    return left == right


def changed(before, after):
    return {name for name in before if not alike(before[name], after[name])}


@pytest.fixture(scope="module")
def observe(toy, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        yield Observer(toy, tmp_path_factory.mktemp("switches"), patched)
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def exported(toy, tmp_path_factory):
    """Towers of another seed, as an open_clip folder."""
    torch.manual_seed(99)
    folder = tmp_path_factory.mktemp("exported") / "towers"
    export_towers(MedCSP(ModelDescription.of_corpus(toy, settings=small(paper()))), folder)
    return str(folder)


def test_every_setting_is_among_the_switches():
    assert set(SWITCHES) | ELSEWHERE == set(leaves(Settings().to_json()))


@pytest.mark.parametrize("path", SWITCHES)
def test_a_switch_turned_alone_changes_what_it_should(observe, exported, path):
    value, expected, given = SWITCHES[path]
    before = with_changes(small(paper()), given)
    after = with_changes(before, {path: exported if value == "exported" else value})
    assert before != after
    assert changed(observe(before), observe(after)) == set(expected.split())


DIFFERENCES = {
    path: (value, leaves(default().to_json())[path])
    for path, value in leaves(paper().to_json()).items()
    if value != leaves(default().to_json())[path]
}
# what of `default()` shows nowhere in two steps of one CPU process, or only where the batch is another
SILENT = {"run.compile", "run.validate_every"}


@pytest.mark.parametrize("path", sorted(set(DIFFERENCES) - SILENT))
def test_each_repair_can_be_taken_back_alone(observe, path):
    repaired = small(default())
    value, _ = DIFFERENCES[path]
    if path in ("optimiser.lr", "optimiser.tower_lr"):
        value *= 100
    differs = changed(observe(repaired), observe(with_changes(repaired, {path: value})))
    assert differs & {"rate", "weights"}, "no repair is without effect"
    assert differs <= set(SWITCHES[path][1].split())


def test_the_repairs_are_those_of_the_document():
    """Each difference between the recipes stands in docs/method.md by its name, with both values."""
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    named = {line.split("`")[1]: line for line in rows}
    assert set(DIFFERENCES) <= set(named)
    for path, (before, after) in DIFFERENCES.items():
        cells = [cell.strip() for cell in named[path].split("|")]
        assert f"`{before}`" in cells, path
        assert f"`{after}`" in cells, path


def test_all_repairs_together_are_the_other_recipe():
    assert with_changes(paper(), {path: after for path, (_, after) in DIFFERENCES.items()}) == default()


def test_a_run_tells_its_steps_as_often_as_it_is_asked(toy, tmp_path):
    changes = {"optimiser.steps": 6, "run.log_every": 2, "run.save_every": 3, "run.validate_every": 3}
    changes |= {"batch.validation_share": 0.3}
    Trainer(toy, settings=with_changes(small(paper()), changes), folder=tmp_path).run()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 3
    assert ["recall" in line for line in lines] == [False, True, True]
    assert sorted(path.name for path in (tmp_path / "states").iterdir()) == ["00000003", "00000006"]


def test_settings_groups_have_no_field_without_words():
    """Each field is explained where it stands."""

    def check(cls):
        for field in dataclasses.fields(cls):
            if dataclasses.is_dataclass(field.default_factory):
                check(field.default_factory)
            else:
                assert field.name in (cls.__doc__ or ""), f"{cls.__name__}.{field.name}"

    check(Settings)
