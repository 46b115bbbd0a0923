"""The X-ray evaluation: launches every model on every set and publishes its numbers. Not here: any model or metric."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts import Contract, corpus, evaluation, features, links, radiology, records, tables, training
from lake import short_hash
from pipelines.assets.pictures import pictures_of, published_models
from pipelines.assets.step import Build, Made, gathering, step
from pipelines.assets.training import weights_digests
from pipelines.features.evaluation_sets import study_facts
from pipelines.features.exposure import exposure_of
from pipelines.features.pretrain_sources import CHEST_XRAYS
from pipelines.profiles import Profile
from pipelines.report.paper_numbers import paper_value
from pipelines.resources import REPOSITORY, Workspace
from pipelines.sources import SOURCES

FILES = ("metrics.json", "comparisons.json", "methods.json", "duplicates.json", "exposure.json")
WITH_CURVES = (*FILES, "curves.json")
WEIGHTS = "raw:weights/"
PACKAGE = "medcsp_model.baselines.radiology"
FAMILIES = ("clip", "cxr_clip", "llava_med", "medclip", "open_clip_folder", "ours_llm", "siglip", "small")
PROMPTS = REPOSITORY / "medcsp_model" / "evaluation" / "prompts"


@dataclass(frozen=True)
class Task:
    """One evaluation of X-rays.

    Attributes:
        contract: its numbers.
        films: what is searched or classified.
        kind: what the evaluator calls it.
        dataset, cohort: as `metrics` has them; the dataset is a raw source too.
        finding: what the label of a classification says, as its prompt sets call it.
    """

    contract: type[Contract]
    films: type[Contract]
    kind: str
    dataset: str
    cohort: str
    finding: str = ""


TASKS = {
    task.contract.table: task
    for task in (
        Task(evaluation.RetrievalMimicCxr, corpus.RetrievalMimicCxrCorpus, "retrieval", "mimic_cxr", "all_views"),
        Task(evaluation.RetrievalOpenI, corpus.RetrievalOpenICorpus, "retrieval", "open_i", "all_views"),
        Task(
            *(evaluation.ZeroShotCovid19, corpus.ZeroShotCovid19Corpus, "zero_shot", "covid19", "covid_or_normal"),
            finding="COVID-19",
        ),
        Task(
            *(evaluation.ZeroShotChexpert, corpus.ZeroShotChexpertCorpus, "zero_shot", "chexpert", "valid"),
            finding="enlarged cardiomediastinum",
        ),
    )
}


def _settings(profile: Profile) -> dict[str, Any]:
    """Return the settings of every X-ray task.

    Raises:
        ValueError: a method that no table knows.
    """
    if unknown := sorted(set(profile.radiology.methods) - set(evaluation.METHODS)):
        raise ValueError(
            f"the profile {profile.name} names {unknown[0]!r} in radiology.methods: use names of data_contracts/"
            f"evaluation.py, METHODS; a folder of your own below MEDCSP_WEIGHTS takes the name of its family"
        )
    retrieval = {key: value for key, value in profile.group("retrieval").items() if key != "min_lift"}
    retrieval |= {"ks": list(profile.retrieval.ks)}
    return {
        "radiology": profile.radiology.to_json(),
        "retrieval": retrieval,
        "towers": profile.towers,
        "seed_of_training": profile.training.run.seed,
    }


def model_digests(workspace: Workspace) -> dict[str, str]:
    """Return the digest of every file of the published models that are there, and of a user's own prompts."""
    digests = dict[str, str]()
    for method in published_models(workspace):
        assert workspace.weights_root is not None
        digests |= weights_digests(workspace, workspace.weights_root / method)
    return digests | prompt_digests(workspace)


def prompt_digests(workspace: Workspace) -> dict[str, str]:
    """Return the digest of every file of a user's own prompts."""
    folder = workspace.profile.radiology.prompts
    found = weights_digests(workspace, Path(folder)) if folder else {}
    return {f"raw:prompts/{name.removeprefix(WEIGHTS)}": digest for name, digest in found.items()}


def _inputs(task: str) -> list[type[Contract]]:
    models = [training.PretrainCheckpoint, training.PretrainLlm, radiology.RadiologySmallModels]
    return [TASKS[task].films, *models, features.TokenizerVocabulary]


ON_X_RAYS: dict[str, Any] = {
    "settings": _settings,
    "raw": model_digests,
    "code": (
        *("medcsp_model.evaluate", "medcsp_model.evaluation.radiology_report"),
        *(f"{PACKAGE}.{family}" for family in FAMILIES),
    ),
    "data_files": tuple(sorted(PROMPTS.rglob("*.toml"))),
    "leaves": FILES,
    "on_device": True,
    "kinds": ("pytorch",),
}
BY_PROMPTS = ON_X_RAYS | {"leaves": WITH_CURVES}
GATHERED = gathering(*evaluation.RADIOLOGY)


@step(
    radiology.RadiologySmallModels,
    inputs=[
        *(corpus.PretrainCorpus, links.CohortSplit, records.CxrReports, tables.MimicCxrJpgChexpert),
        features.TokenizerVocabulary,
    ],
    settings=lambda profile: profile.small_models.to_json() if profile.small_models.methods else {},
    code=("medcsp_model.small_models",),
    on_device=True,
    kinds=("pytorch",),
)
def radiology_small_models(build: Build) -> pl.DataFrame:
    """Train a small model of each published family that the profile asks for."""
    folder = build.run_folder()
    if not build.settings:
        return build.step.contract.create_empty()
    chosen = build.scan(links.CohortSplit).filter(pl.col("source") == CHEST_XRAYS.name, pl.col("split") == "pretrain")
    told = study_facts(build.scan(records.CxrReports), build.scan(tables.MimicCxrJpgChexpert), chosen)
    studies = folder / "studies.json"
    studies.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    run = {
        "corpus": str(build.folder_of(corpus.PretrainCorpus)),
        "source": CHEST_XRAYS.name,
        "studies": str(studies),
        "vocabulary": str(write_vocabulary(build)),
        "output": str(folder),
        "settings": build.settings,
    }
    build.launch("medcsp_model.small_models", run)
    return pl.DataFrame(json.loads((folder / "small_models.json").read_text()))


@step(evaluation.RetrievalMimicCxr, inputs=_inputs("retrieval_mimic_cxr"), **ON_X_RAYS)
def retrieval_mimic_cxr(build: Build) -> Made:
    """Search the images of unseen subjects by their reports, and reports by images (Table 2)."""
    return _evaluate(build)


@step(evaluation.RetrievalOpenI, inputs=_inputs("retrieval_open_i"), **ON_X_RAYS)
def retrieval_open_i(build: Build) -> Made:
    """Search the images of Open-I by their reports, and reports by images (Table 5)."""
    return _evaluate(build)


@step(evaluation.ZeroShotCovid19, inputs=_inputs("zero_shot_covid19"), **BY_PROMPTS)
def zero_shot_covid19(build: Build) -> Made:
    """Tell COVID-19 from normal films by two prompts (Table 3)."""
    return _evaluate(build)


@step(evaluation.ZeroShotChexpert, inputs=_inputs("zero_shot_chexpert"), **BY_PROMPTS)
def zero_shot_chexpert(build: Build) -> Made:
    """Tell films with an enlarged cardiomediastinum from others by two prompts (Table 6)."""
    return _evaluate(build)


@step(radiology.RadiologyComparisons, **GATHERED)
def radiology_comparisons(build: Build) -> pl.DataFrame:
    """Gather how methods differ."""
    return gather(build, "comparisons")


@step(radiology.RadiologyMethods, **GATHERED)
def radiology_methods(build: Build) -> pl.DataFrame:
    """Gather what each method is, and why it has no number."""
    return gather(build, "methods")


@step(radiology.RadiologyDuplicates, **GATHERED)
def radiology_duplicates(build: Build) -> pl.DataFrame:
    """Gather how many films of a set are copies."""
    return gather(build, "duplicates")


@step(
    radiology.Exposure,
    **GATHERED | {"inputs": [*evaluation.RADIOLOGY, radiology.EvaluationFilms, links.CohortSplit]},
)
def exposure(build: Build) -> pl.DataFrame:
    """Say for every model what it has seen of every set, and count it where that can be done."""
    said = [build.folder_of(contract) / "exposure.json" for contract in evaluation.RADIOLOGY]
    rows = [row for path in said for row in json.loads(path.read_text())]
    films, cohorts = build.frame(radiology.EvaluationFilms), build.scan(links.CohortSplit)
    return exposure_of(rows, films, cohorts, splits={task.dataset: name for name, task in TASKS.items()})


def _evaluate(build: Build) -> Made:
    """Run every model on the asset's films; without films, publish nothing and say why."""
    task, folder = TASKS[build.step.name], build.run_folder()
    if reason := why_no_films(build, task):
        _write_nothing(build, task, folder, reason)
    else:
        with pictures_of(build, build.folder_of(task.films), task.dataset) as pictures:
            build.launch("medcsp_model.evaluate", _run(build, task, folder, pictures))
    methods = _rows(build, radiology.RadiologyMethods, folder / "methods.json", task)
    missing = methods.filter(pl.col("reason").is_not_null()).select("method", "reason")
    extra: dict[str, Any] = {"not_available": dict(missing.iter_rows())}
    if (prompts := folder / "prompts.json").exists():
        extra["prompts"] = json.loads(prompts.read_text())
    return Made(_rows(build, build.step.contract, folder / "metrics.json", task), extra=extra)


def why_no_films(build: Build, task: Task) -> str:
    """Return why a task's set holds no film; nothing where it holds some."""
    contents = build.scan(task.films).filter(pl.col("modality") == "image").select("num_present").collect()
    if contents["num_present"].sum():
        return ""
    if build.workspace.sources.root(task.dataset) is None:
        return f"{task.dataset} is not available: set {SOURCES[task.dataset].variable}"
    return "no film of it stands in evaluation (cohort_split)"


def write_vocabulary(build: Build) -> Path:
    """Write the tokenizer's words into the step's run folder, as a BERT's `vocab.txt`; returns their folder."""
    folder = build.run_folder() / "tokenizer"
    folder.mkdir(exist_ok=True)
    words = build.frame(features.TokenizerVocabulary).sort("token_index")["token"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return folder


def _run(build: Build, task: Task, folder: Path, pictures: str) -> dict[str, Any]:
    """Return the run description, as `medcsp_model.evaluation.radiology_report` reads it."""
    workspace = build.workspace
    return {
        "task": task.kind,
        "corpus": str(build.folder_of(task.films)),
        "checkpoint": str(build.folder_of(training.PretrainCheckpoint)),
        "output": str(folder),
        "settings": build.settings["retrieval"],
        "radiology": {
            "settings": build.settings["radiology"],
            "dataset": task.dataset,
            "cohort": task.cohort,
            "finding": task.finding,
            "pictures": pictures,
            "weights": str(workspace.weights_root) if workspace.weights_root is not None else "",
            "small": str(build.folder_of(radiology.RadiologySmallModels)),
            "llm": str(build.folder_of(training.PretrainLlm)),
            "vocabulary": str(write_vocabulary(build)),
            "towers": build.settings["towers"],
        },
    }


def _write_nothing(build: Build, task: Task, folder: Path, reason: str) -> None:
    """Write the evaluator's files for a set without films."""
    build.log(f"{build.step.name}: {reason}; published empty")
    chosen = build.workspace.profile.radiology
    pairs = [(method, mode) for method in chosen.methods for mode in chosen.modes]
    nothing = dict.fromkeys(
        ("pictures", "texts", "embed_dim", "context_length", "num_parameters", "num_images", "num_texts")
    )
    said = {"cohort": task.cohort, "reason": reason, **nothing}
    for name in build.step.leaves:
        rows = [{**said, "method": method, "mode": mode} for method, mode in pairs] if name == "methods.json" else []
        (folder / name).write_text(json.dumps(rows) + "\n")


def _rows(build: Build, contract: type[Contract], path: Path, task: Task) -> pl.DataFrame:
    """Return rows that the evaluator wrote, with what they are of."""
    empty = contract.create_empty()
    rows = pl.DataFrame(json.loads(path.read_text()), schema_overrides=dict(empty.schema), infer_schema_length=None)
    if rows.is_empty():
        return empty
    known: dict[str, pl.Expr | pl.Series] = {
        "task": pl.lit(task.contract.table),
        "dataset": pl.lit(task.dataset),
        "synthetic": pl.lit(build.workspace.is_synthetic),
    }
    if "method" in rows.columns:
        made_by = trained_here(build) | (published_digests(build) if contract is radiology.RadiologyMethods else {})
        names = pl.col("method").cast(pl.String)
        known["fingerprint"] = names.replace_strict(made_by, default=None, return_dtype=pl.String)
    if "paper_value" in empty.columns:
        known["seed"] = pl.lit(build.workspace.profile.training.run.seed, dtype=pl.Int32)
        known["paper_value"] = _paper_values(rows, task, build.workspace.profile.radiology.headline)
    return rows.with_columns(**known).select(empty.columns)


def trained_here(build: Build) -> dict[str, str]:
    """Return the fingerprint of what trained each model of ours; nothing of ours stands behind any other number."""
    small = dict.fromkeys(build.workspace.profile.small_models.methods, radiology.RadiologySmallModels)
    by_table = {"medcsp": training.PretrainCheckpoint, "medcsp_llm": training.PretrainLlm, **small}
    found = dict[str, str]()
    for method, contract in by_table.items():
        manifest = build.lake.manifest(contract.table)
        assert manifest is not None
        found[method] = manifest.fingerprint
    return found


def published_digests(build: Build) -> dict[str, str]:
    """Return a digest of the files of every published model that is there."""
    found, digests = dict[str, str](), model_digests(build.workspace)
    for method in build.workspace.profile.radiology.methods:
        own = [f"{name} {digest}" for name, digest in digests.items() if name.startswith(f"{WEIGHTS}{method}/")]
        found |= {method: short_hash("\n".join(own))} if own else {}
    return found


def _paper_values(rows: pl.DataFrame, task: Task, headline: str) -> pl.Series:
    """Return what the paper prints beside rows of its own search or prompts, whichever mode the model is run in."""
    own = "text_to_image" if task.kind == "retrieval" else headline
    values = [
        paper_value(task.contract.table, str(row["method"]), row["metric"], row["k"])
        if (row["cohort"], row["mode"].removesuffix("/paper")) == (task.cohort, own) and "/" not in row["split"]
        else None
        for row in rows.iter_rows(named=True)
    ]
    return pl.Series(values, dtype=pl.Float64)


def gather(build: Build, name: str, *, kinds: tuple[str, ...] = ("retrieval", "zero_shot")) -> pl.DataFrame:
    """Return what every task's process wrote to one of its `FILES`, under the contract of the step."""
    tasks = [task for task in TASKS.values() if task.kind in kinds]
    found = [(build.folder_of(task.contract) / f"{name}.json", task) for task in tasks]
    return pl.concat(_rows(build, build.step.contract, path, task) for path, task in found)


STEPS = (
    radiology_small_models,
    retrieval_mimic_cxr,
    retrieval_open_i,
    zero_shot_covid19,
    zero_shot_chexpert,
    radiology_comparisons,
    radiology_methods,
    radiology_duplicates,
    exposure,
)
