"""Training: launches the trainer, shows its curve while it grows and publishes it. Nothing about models is here."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts import Contract, corpus, training
from lake import file_digest, sha256_file
from pipelines.assets.step import Build, Made, step
from pipelines.profiles import Profile
from pipelines.resources import Workspace

MODEL = "model.safetensors"
LAST_LINE_BYTES = 8192
SHOWN = ("step", "epoch", "loss", "loss_a", "loss_p", "loss_d", "learning_rate", "grad_norm", "num_linked")
LOGITS = tuple(f"logit_{loss}_{side}" for loss in "apd" for side in ("positive", "negative"))
RECALL = "_recall_at_10"


def tower_digests(workspace: Workspace) -> dict[str, str]:
    """Return the digest of every file that the towers start from."""
    towers = workspace.profile.towers
    return weights_digests(workspace, workspace.weights(towers)) if towers else {}


def weights_digests(workspace: Workspace, folder: Path) -> dict[str, str]:
    """Return the digest of every file of a folder of weights."""
    return {
        f"raw:weights/{folder.name}/{path.relative_to(folder).as_posix()}": file_digest(
            path, root=folder, home=workspace.home
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass
class LiveCurve:
    """Shows the newest line of a curve that is being written, ever more seldom: hours of training are few events.

    Attributes:
        metrics: the trainer's metrics.jsonl.
        observe: shows numbers.
        pause_seconds: the least time between two looks; later a fiftieth of the time since the start.
    """

    metrics: Path
    observe: Callable[[dict[str, float]], None]
    pause_seconds: float = 20.0
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _next: float = field(init=False)
    _step: float = field(default=-1, init=False)

    def __post_init__(self) -> None:
        self._began = self._next = self.clock()

    def look(self, *, is_last: bool = False) -> None:
        """Show the newest line, if it is new and time has passed, or training is over."""
        now = self.clock()
        line = last_line(self.metrics) if is_last or now >= self._next else {}
        if line and line["step"] != self._step:
            self._step, self._next = line["step"], now + max(self.pause_seconds, (now - self._began) / 50)
            self.observe(line)


def last_line(metrics: Path) -> dict[str, float]:
    """Return the newest whole line of a curve, or nothing."""
    if not metrics.is_file():
        return {}
    with metrics.open("rb") as file:
        file.seek(max(metrics.stat().st_size - LAST_LINE_BYTES, 0))
        lines = file.read().split(b"\n")[:-1]
    line: dict[str, float] = json.loads(lines[-1]) if lines else {}
    return line


@step(
    training.PretrainCheckpoint,
    inputs=[corpus.PretrainCorpus],
    settings=lambda profile: profile.training.to_json(),
    raw=tower_digests,
    code=("medcsp_model.train",),
    leaves=(MODEL, "model.json"),
    on_device=True,
    kinds=("pytorch",),
)
def pretrain_checkpoint(build: Build) -> Made:
    """Train on the corpus."""
    return _train(build, corpus.PretrainCorpus)


def _settings_of_shared(profile: Profile) -> dict[str, Any]:
    is_asked = "shared" in profile.evaluation.spaces
    return {"is_asked": is_asked, **(profile.training.to_json() if is_asked else {})}


@step(
    training.PretrainCheckpointShared,
    inputs=[corpus.PretrainCorpusShared],
    settings=_settings_of_shared,
    raw=lambda workspace: tower_digests(workspace) if "shared" in workspace.profile.evaluation.spaces else {},
    code=("medcsp_model.train",),
    leaves=(MODEL, "model.json"),
    on_device=True,
    kinds=("pytorch",),
)
def pretrain_checkpoint_shared(build: Build) -> Made:
    """Train on the corpus of the shared feature space, if there is one."""
    trained_on = build.lake.manifest(corpus.PretrainCorpusShared.table)
    if trained_on is None or not trained_on.rows:
        return Made(build.step.contract.create_empty())
    return _train(build, corpus.PretrainCorpusShared)


def _train(build: Build, trained_on: type[Contract]) -> Made:
    run = {"corpus": str(build.folder_of(trained_on)), "settings": training_settings(build)}
    return train_and_read(build, "medcsp_model.train", build.run_folder(), run)


def train_and_read(build: Build, module: str, folder: Path, run: dict[str, Any]) -> Made:
    """Train in a process of its own, or in several; a killed run resumes, a finished one returns at once.

    Args:
        build: of the step.
        module: the command.
        folder: its run folder, that of the step or one inside it.
        run: what the command is told beside.
    """
    live = LiveCurve(folder / "metrics.jsonl", build.observe)

    def hear(line: str) -> None:
        build.log(line)
        live.look()

    replace(build, log=hear).launch(module, {**run, "run_folder": str(folder)}, together=True)
    live.look(is_last=True)
    done = json.loads((folder / "done.json").read_text())
    rows = curve((folder / "metrics.jsonl").read_text().splitlines())
    return Made(rows.with_columns(model_sha256=pl.lit(sha256_file(folder / MODEL))), extra={"training": done})


def curve(lines: list[str]) -> pl.DataFrame:
    """Return the rows of a curve; what a line does not measure is null, and nothing in them is a time."""
    rows = []
    for line in map(json.loads, lines):
        recalls = [value for key, value in line.items() if key.endswith(RECALL)]
        rows.append(
            {
                **{key: line[key] for key in SHOWN},
                **{key: line.get(f"{key}_mean") for key in LOGITS},
                "recall_at_10": sum(recalls) / len(recalls) if recalls else None,
            }
        )
    numbers = dict.fromkeys((*SHOWN[1:], *LOGITS, "recall_at_10"), pl.Float64)
    return pl.DataFrame(rows, schema={"step": pl.Int64, **numbers})


def training_settings(build: Build) -> dict[str, Any]:
    """Return the settings of the run, with the folder that the towers start from."""
    towers = build.workspace.profile.towers
    settings = build.workspace.profile.training
    if towers:
        settings = settings.replace(model={"towers_folder": str(build.workspace.weights(towers))})
    return settings.to_json()


STEPS = (pretrain_checkpoint, pretrain_checkpoint_shared)
