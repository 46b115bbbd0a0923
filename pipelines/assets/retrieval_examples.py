"""Retrieval examples: launches the embedder on sets that may be shown, and keeps what is found first. Nothing is drawn.

Reports and images of patients are shown of a set only where the graph wrote it, where its licence lets anyone show it,
or where the profile says so (`report.shows_credentialed`).
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_contracts import radiology, training
from medcsp_model.corpus import Corpus, Films
from pipelines.assets.radiology import TASKS, Task
from pipelines.assets.step import Build, Made, step
from pipelines.features.retrieval_examples import examples
from pipelines.profiles import Profile
from pipelines.resources import Workspace

SEARCHED = {name: task for name, task in TASKS.items() if task.kind == "retrieval"}
SHOWN = "shown:"


def _settings(profile: Profile) -> dict[str, Any]:
    if not profile.report.example_sets:
        return {}
    return {**profile.group("report"), "raw_towers": profile.retrieval.raw_towers}


def _may_be_shown(workspace: Workspace) -> dict[str, str]:
    """Return why each asked data set may be shown; those that may not are left out."""
    chosen, found = workspace.profile.report, {}
    for name in chosen.example_sets:
        dataset = SEARCHED[name].dataset
        if dataset in workspace.sources.synthetic:
            found[f"{SHOWN}{dataset}"] = "synthetic"
        elif dataset in radiology.SHOWN_TO_ANYONE:
            found[f"{SHOWN}{dataset}"] = "open"
        elif chosen.shows_credentialed:
            found[f"{SHOWN}{dataset}"] = "asked for"
    return found


@step(
    radiology.RetrievalExamples,
    inputs=[*(task.films for task in SEARCHED.values()), training.PretrainCheckpoint],
    settings=_settings,
    raw=_may_be_shown,
    code=("medcsp_model.embed",),
    on_device=True,
    kinds=("pytorch",),
)
def retrieval_examples(build: Build) -> Made:
    """Find the first images of a few reports of each set that may be shown, if the profile asks for any."""
    asked = [SEARCHED[name] for name in build.settings.get("example_sets", ())]
    shown = [task for task in asked if f"{SHOWN}{task.dataset}" in build.inputs]
    found = [row for task in shown for row in _of_set(build, task)]
    reason = f"the profile {build.workspace.profile.name} asks for none (report.example_sets)"
    if asked:
        hidden = ", ".join(sorted({task.dataset for task in asked} - {task.dataset for task in shown}))
        reason = f"{hidden} may not be shown unless the profile sets report.shows_credentialed" if hidden else ""
    rows = pl.DataFrame(found, schema=build.step.contract.create_empty().schema)
    return Made(rows, extra={"not_available": reason} if reason else {})


def _of_set(build: Build, task: Task) -> list[dict[str, Any]]:
    """Embed one set and rank its images for a few of its reports; nothing where it holds none."""
    folder = build.folder_of(task.films)
    held = [source for source in Corpus.open(folder).sources.values() if source.num_records]
    if not held:
        return []
    (source,) = held
    output = _embed(build, task, folder)
    films = Films.open(folder, source.record_id)
    rows = examples(
        source,
        films.whole,
        films.text,
        np.load(output / f"{source.name}__report.npy"),
        np.load(output / f"{source.name}__image.npy"),
        num_examples=build.settings["num_examples"],
        num_images=build.settings["num_images"],
    )
    return [{"dataset": task.dataset, **row} for row in rows]


def _embed(build: Build, task: Task, folder: Path) -> Path:
    """Embed a set's reports and images into the run folder, as the retrieval itself embeds them."""
    output = build.run_folder() / task.dataset
    run = {
        "corpus": str(folder),
        "checkpoint": str(build.folder_of(training.PretrainCheckpoint)),
        "output": str(output),
        "raw_towers": build.settings["raw_towers"],
    }
    build.launch("medcsp_model.embed", run)
    return output


STEPS = (retrieval_examples,)
