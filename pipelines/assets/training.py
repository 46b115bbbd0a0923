"""Training: launches the trainer and publishes its curve. Not here: anything about models (`medcsp_model`)."""

import json
from typing import Any

import polars as pl

from data_contracts import corpus, training
from lake import file_digest, sha256_file
from pipelines.assets.step import Build, Made, step
from pipelines.resources import Workspace

MODEL = "model.safetensors"


def weights_digests(workspace: Workspace) -> dict[str, str]:
    """Return the digest of every file that the towers start from."""
    method = workspace.profile.towers
    if not method:
        return {}
    folder = workspace.weights(method)
    return {
        f"raw:weights/{method}/{path.relative_to(folder).as_posix()}": file_digest(
            path, root=folder, home=workspace.home
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@step(
    training.PretrainCheckpoint,
    inputs=[corpus.PretrainCorpus],
    settings=lambda profile: profile.training.to_json(),
    raw=weights_digests,
    code=("medcsp_model.train",),
    leaves=(MODEL, "model.json"),
    on_device=True,
    kinds=("pytorch",),
)
def pretrain_checkpoint(build: Build) -> Made:
    """Train on the corpus in a process of its own; a killed run resumes, a finished one returns at once."""
    folder = build.run_folder()
    build.launch(
        "medcsp_model.train",
        {
            "corpus": str(build.folder_of(corpus.PretrainCorpus)),
            "run_folder": str(folder),
            "settings": training_settings(build),
        },
    )
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    curve = pl.DataFrame(lines).select(
        "step", "epoch", "loss", "loss_a", "loss_p", "loss_d", "learning_rate", "grad_norm", "num_linked"
    )
    done = json.loads((folder / "done.json").read_text())
    return Made(curve.with_columns(model_sha256=pl.lit(sha256_file(folder / MODEL))), extra={"training": done})


def training_settings(build: Build) -> dict[str, Any]:
    """Return the settings of the run, with the folder that the towers start from."""
    towers = build.workspace.profile.towers
    settings = build.workspace.profile.training
    if towers:
        settings = settings.replace(model={"towers_folder": str(build.workspace.weights(towers))})
    return settings.to_json()


STEPS = (pretrain_checkpoint,)
