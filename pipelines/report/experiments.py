"""A page for each checkpoint: a model card, then its curves. What the losses are: `medcsp_model.losses`.

Everything of the card is read from manifests and published tables, except what such a model is for and what it is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lake import Lake, Manifest
from pipelines.report.content import Cell, Column, Note, Part, Row, Section, Table
from pipelines.report.counts import KINDS
from pipelines.report.formats import NONE, count, digest, plain, release
from pipelines.report.lineage import Ancestry
from pipelines.report.prediction_numbers import read_rows
from pipelines.report.pretraining import pretraining_section
from pipelines.report.settings_section import settings_table
from pipelines.report.x_ray_tables import EXPOSURES, seen_of

INTENDED = (
    "Research: retrieval and classification of chest X-rays by text, starting weights and embeddings for tasks on "
    "admissions with an ICU stay and on chest X-rays, and the comparison of ways to pre-train on both.",
)
RELEASES_OF = {"ehr": ("mimic_iv", "mimic_iv_note"), "cxr": ("mimic_cxr", "mimic_cxr_jpg")}
"""Releases that a source of the corpus is read from; any other has the name of its release."""
LIMITS = (
    "No medical device: no decision about a patient may rest on it.",
    "MIMIC-IV and MIMIC-CXR come from one hospital in Boston; elsewhere it may be worth less.",
    "Who has an X-ray, a note or a reading depends on how ill and how cared for they were: what is missing is not "
    "missing at random.",
    "Diagnosis codes are written after discharge, for billing; histories and L_D lean on them.",
)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One checkpoint that has a page.

    Attributes:
        table: its table, which names the page too.
        title: of the page.
        method: what `metrics` and `exposure` call it; empty where they do not know it apart.
        curves: name of the section with its curves.
        what: a sentence that says what it is.
    """

    table: str
    title: str
    method: str
    curves: str
    what: str

    @property
    def file(self) -> str:
        """The page below the report's folder."""
        return f"{self.table}.html"


EXPERIMENTS = (
    Experiment(
        table="pretrain_checkpoint",
        title="The model",
        method="medcsp",
        curves="pre_training",
        what="One model over admissions and chest X-rays, pre-trained to bring modalities of a record, records of a "
        "patient, and records with similar diagnosis histories together.",
    ),
    Experiment(
        table="pretrain_checkpoint_shared",
        title="The model, shared features",
        method="",
        curves="pre_training_shared",
        what="The same model over the hourly features that CareVue, MetaVision and MIMIC-IV all chart.",
    ),
    Experiment(
        table="pretrain_llm",
        title="The variant with an LLM",
        method="medcsp_llm",
        curves="pre_training_llm",
        what="A frozen language model reads every modality through one trained projection (Appendix C).",
    ),
)
TABLES = tuple(experiment.table for experiment in EXPERIMENTS)


def experiment_sections(
    experiment: Experiment, lake: Lake, ancestry: Ancestry, *, synthetic_sources: Sequence[str]
) -> tuple[Section, Section]:
    """Return the model card of a checkpoint and its curves."""
    manifest = ancestry.manifests[experiment.table]
    sources = _sources(lake, ancestry, experiment.table)
    is_synthetic = bool(set(sources) & set(synthetic_sources))
    parts: list[Part] = [
        _identity(experiment, manifest),
        _trained_on(lake, ancestry, experiment.table, sources, is_synthetic=is_synthetic),
        _measured(lake, ancestry, manifest),
        _sentences("What it is for, and what it is not", INTENDED, _limits(manifest, is_synthetic=is_synthetic)),
    ]
    parts += [part for part in (_exposure(lake, experiment.method),) if part is not None]
    parts.append(settings_table(manifest.settings, caption="Settings of the training"))
    card = Section(
        name=f"card_{experiment.table}",
        title="Model card",
        lead=experiment.what,
        num_rows=sum(len(part.rows) for part in parts if isinstance(part, Table)),
        bands=tuple((part,) for part in parts),
    )
    return card, pretraining_section(lake, experiment.table, name=experiment.curves)


def _corpora(ancestry: Ancestry, table: str) -> list[Manifest]:
    """The corpora that a checkpoint was trained on."""
    manifests = [ancestry.manifests[name] for name in ancestry.manifests[table].inputs if name in ancestry.manifests]
    return [made for made in manifests if made.layer == "corpus"]


def _sources(lake: Lake, ancestry: Ancestry, table: str) -> list[str]:
    """Releases whose records it was trained on: tables of records hold those of every release, its corpus does not."""
    names = {row["source"] for made in _corpora(ancestry, table) for row in read_rows(lake, made.table)}
    read = {name.split("/", 1)[0] for name in ancestry.raw_files}
    return sorted({release for name in names for release in RELEASES_OF.get(name, (name,))} & read)


def _facts(caption: str, rows: Sequence[tuple[str, Cell]], *, note: str = "", badges: tuple[str, ...] = ()) -> Table:
    return Table(
        caption=caption,
        head="",
        columns=(Column(label="", is_number=False),),
        rows=tuple(Row(label=label, cells=(cell,)) for label, cell in rows),
        note=note,
        badges=badges,
    )


def _identity(experiment: Experiment, manifest: Manifest) -> Table:
    done = manifest.extra.get("training", {})
    weights = str(done.get("sha256", ""))
    rows = [
        ("Table", Cell(text=experiment.table, target=f"table-{experiment.table}")),
        ("Fingerprint", Cell(text=manifest.fingerprint, is_code=True)),
        ("Weights, sha256", Cell(text=digest(weights, 32) or NONE, is_code=True)),
        ("Parameters", Cell(text=_number(done, "num_parameters"))),
        ("Optimiser steps", Cell(text=_number(done, "steps"))),
        ("Passes over the images", Cell(text=_number(done, "epochs"))),
        ("Records of a source in a batch", Cell(text=_number(done, "batch_size"))),
        ("Device", Cell(text=_device(done))),
        ("Language model", Cell(text=str(manifest.extra.get("language", "")))),
    ]
    shown = [row for row in rows if row[1].text]
    return _facts("What it is", shown)


def _number(done: Mapping[str, Any], name: str) -> str:
    return plain(float(done[name]), 1) if name in done else ""


def _device(done: Mapping[str, Any]) -> str:
    if "device" not in done:
        return ""
    processes = int(done.get("num_processes", 1))
    return f"{done['device']}, {count(processes)} {'process' if processes == 1 else 'processes'}"


def _trained_on(lake: Lake, ancestry: Ancestry, table: str, sources: Sequence[str], *, is_synthetic: bool) -> Table:
    rows = [("Releases", Cell(text=", ".join(_release(ancestry, name) for name in sources) or NONE))]
    for made in _corpora(ancestry, table):
        contents = read_rows(lake, made.table)
        rows.append(("Corpus", Cell(text=f"{made.table}, version {made.version}", target=f"table-{made.table}")))
        rows += [
            (
                f"{row['source'].upper()}, {row['modality']}",
                Cell(text=f"{count(row['num_present'])} of {count(row['num_records'])} records have it"),
            )
            for row in contents
            if row["num_records"] and row["kind"] in KINDS
        ]
    badges = ("synthetic",) if is_synthetic else ()
    return _facts("What it was trained on", rows, note="Validation subjects count among the records.", badges=badges)


def _release(ancestry: Ancestry, name: str) -> str:
    return " ".join(word for word in (release(name), ancestry.releases.get(name, "")) if word)


def _measured(lake: Lake, ancestry: Ancestry, manifest: Manifest) -> Part:
    """Tasks that hold a number of this checkpoint."""
    counted: dict[str, int] = {}
    for row in read_rows(lake, "metrics"):
        if row["fingerprint"] == manifest.fingerprint:
            counted[row["task"]] = counted.get(row["task"], 0) + 1
    if not counted:
        return Note(text="No published number was measured on it.", tone="missing")
    traced = {task: f"table-{task}" for task in counted if task in ancestry.manifests}
    rows = [
        (task, Cell(text=f"{count(number)} {'number' if number == 1 else 'numbers'}", target=traced.get(task, "")))
        for task, number in sorted(counted.items())
    ]
    return _facts("Where it was measured", rows)


def _limits(manifest: Manifest, *, is_synthetic: bool) -> tuple[str, ...]:
    made_up = ("Trained on made-up records: it shows that the machinery works and knows nothing of patients.",)
    stand_in = ("Its language model is a stand-in with random weights.",)
    language = str(manifest.extra.get("language", ""))
    return (made_up if is_synthetic else ()) + (stand_in if "random" in language else ()) + LIMITS


def _sentences(caption: str, intended: Sequence[str], limits: Sequence[str]) -> Table:
    rows = [*(("Intended use", Cell(text=text)) for text in intended), *(("Limit", Cell(text=text)) for text in limits)]
    return _facts(caption, rows)


def _exposure(lake: Lake, method: str) -> Table | None:
    rows = [row for row in read_rows(lake, "exposure") if row["method"] == method]
    if not rows:
        return None
    return Table(
        caption="What it has seen of each evaluation set",
        head="Set",
        columns=(
            Column(label="Exposure", is_number=False),
            Column(label="Films seen"),
            Column(label="How that is known", is_number=False),
        ),
        rows=tuple(
            Row(
                label=release(row["dataset"]),
                badge="contaminated" if row["is_contaminated"] else "",
                cells=(
                    Cell(text=EXPOSURES[row["exposure"]]),
                    Cell(text=seen_of(row)),
                    Cell(text=row["seen"]),
                ),
            )
            for row in sorted(rows, key=lambda row: row["dataset"])
        ),
    )
