"""The X-ray evaluation: every model of a run description over one evaluation set, and what else is said of both.

run.json of `python -m medcsp_model.evaluate`: {"task": "retrieval" or "zero_shot", "corpus", "checkpoint", "output",
"settings", "radiology": {...}}; `settings` as in `RetrievalSettings`, and under `radiology`

    settings      as in `medcsp_model.settings.RadiologyEvaluation`
    dataset       name of the set, in `exposure` and `prompts`
    cohort        name of the cohort, of a classification
    finding       what the label of a classification says: prompt sets of another finding are left out of their mean
    pictures      folder below which the films lie as PNG or JPG files, those of DICOM by their names with .jpg; empty:
                  the stored squares
    weights       folder that holds a folder for each published model; empty: there is none
    small         folder that holds a folder for each small model; empty: there is none
    llm           folder that holds the folder medcsp_llm, the variant with a language model; empty: there is none
    vocabulary    folder of our tokenizer (vocab.txt), for prompts
    towers        model whose weights our towers started from, in `exposure`; empty: they started at random

In `output`: metrics.json, comparisons.json, methods.json, duplicates.json, exposure.json and, of a classification,
curves.json: rows as in the contracts without what the caller knows of the run. A model that cannot be had is a row of
methods.json with the reason. Of a classification, prompts.json too: name and finding of every prompt set, and
is_averaged, whether the mean holds it.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medcsp_model.baselines.radiology.registry import MODELS, PAPER_BASELINES, VARIABLE
from medcsp_model.checkpoint import write_json
from medcsp_model.distributed import choose_device
from medcsp_model.evaluation.duplicates import count_duplicates
from medcsp_model.evaluation.exposure import exposure_rows
from medcsp_model.evaluation.readers import EvaluationSet, Mode, Ours, Published, Reader
from medcsp_model.evaluation.retrieval_report import Gallery, RetrievalNumbers
from medcsp_model.evaluation.zero_shot import PROMPTS, read_prompts
from medcsp_model.evaluation.zero_shot_report import Labelled, NothingToTellError, ZeroShotNumbers
from medcsp_model.settings import RadiologyEvaluation, RetrievalSettings

log = logging.getLogger(__name__)
Row = dict[str, Any]

OURS, LLM, SMALL = "medcsp", "medcsp_llm", "_small"
FACTS = ("pictures", "texts", "embed_dim", "context_length", "num_parameters")


@dataclass(frozen=True)
class RadiologyRun:
    """What a run description says, opened.

    Attributes:
        run: the description.
        settings: which models, and how.
        data: the evaluation set.
        retrieval: batch size, threads and head of our model.
    """

    run: Mapping[str, Any]
    settings: RadiologyEvaluation
    data: EvaluationSet
    retrieval: RetrievalSettings

    @classmethod
    def open(cls, run: Mapping[str, Any]) -> "RadiologyRun":
        """Read settings and films."""
        asked = run["radiology"]
        data = EvaluationSet.open(run["corpus"], root=asked["pictures"])
        retrieval = RetrievalSettings.from_json(run["settings"])
        return cls(run, RadiologyEvaluation.from_json(asked["settings"]), data, retrieval)

    @property
    def output(self) -> Path:
        """Where the files go."""
        return Path(self.run["output"])

    def readers(self) -> Iterator[tuple[str, Mode, Reader | str]]:
        """Every method and mode, opened when it is its turn, or the reason why it cannot be had."""
        for method in self.settings.methods:
            for mode in self.settings.modes:
                if not (self._is_ours_alone(method) and mode == "paper"):  # which nobody ever released
                    yield method, mode, self._open(method, mode)

    def _open(self, method: str, mode: Mode) -> Reader | str:
        asked, settings = self.run["radiology"], self.settings
        if method == OURS:
            return Ours(
                self.data,
                self.run["checkpoint"],
                mode=mode,
                vocabulary=asked["vocabulary"],
                raw_towers=self.retrieval.raw_towers,
                batch_size=self.retrieval.batch_size,
                border=settings.border,
                num_threads=self.retrieval.num_threads,
            )
        trained = {LLM: asked["llm"]} | ({method: asked["small"]} if method.endswith(SMALL) else {})
        folder = trained.get(method, asked["weights"])
        if not folder or not (Path(folder) / method).is_dir():
            return _absent(method, folder)
        from medcsp_model.baselines.radiology.interface import NotAvailableError
        from medcsp_model.baselines.radiology.registry import open_model

        try:
            model: Any = (
                self._small(folder, method) if method.endswith(SMALL) else open_model(method, folder, mode=mode)
            )
        except NotAvailableError as error:
            return str(error).replace(str(folder), f"${VARIABLE}")
        device = choose_device("auto")
        kept = self.output / "embeddings"
        return Published(
            method, model.to(device), self.data, batch_size=settings.batch_size, border=settings.border, kept=kept
        )

    @staticmethod
    def _is_ours_alone(method: str) -> bool:
        return method.endswith(SMALL) or method == LLM

    def _small(self, folder: str, method: str) -> Any:
        from medcsp_model.baselines.radiology.small import Small

        return Small(Path(folder) / method, mode="native").eval()

    def facts(self, method: str, mode: Mode, reader: Reader | str, *, num_images: int, num_texts: int) -> Row:
        """The row of `methods.json`."""
        row: Row = {"method": method, "mode": mode, "reason": None, "num_images": num_images, "num_texts": num_texts}
        if isinstance(reader, str):
            log.warning("%s, mode %s: not available: %s", method, mode, reader)
            nothing = dict.fromkeys((*FACTS, "num_images", "num_texts"))
            return row | nothing | {"reason": reader}
        return row | reader.facts()

    def write(self, **rows: list[Row]) -> None:
        """Write one file each."""
        self.output.mkdir(parents=True, exist_ok=True)
        for name, each in rows.items():
            write_json(self.output / f"{name}.json", each)

    def write_nothing(self, reason: str, *, cohort: str, dataset: str) -> None:
        """Write files without a number, and for every method the reason."""
        log.warning("%s: not available: %s", dataset, reason)
        pairs = [(method, mode) for method in self.settings.methods for mode in self.settings.modes]
        methods = [self.facts(method, mode, reason, num_images=0, num_texts=0) for method, mode in pairs]
        self.write(metrics=[], comparisons=[], duplicates=[], exposure=self.exposure(), curves=[])
        self.write(methods=[{"cohort": cohort, **row} for row in methods])

    def exposure(self) -> list[Row]:
        """What every model has seen of the set."""
        asked = self.run["radiology"]
        return exposure_rows(asked["dataset"], self.settings.methods, towers=asked["towers"])

    def duplicates(self, groupings: Mapping[str, Any]) -> list[Row]:
        """Copies among the films, over groupings of the records with pixels."""
        records = np.flatnonzero(self.data.pixels.present)
        images = (self.data.pixels.pixels([record])[0] for record in records)
        named = {name: values[records].tolist() for name, values in groupings.items()}
        return count_duplicates(images, named, most_bits=self.settings.most_bits)


def _absent(method: str, folder: str) -> str:
    if method.endswith(SMALL):
        return f"{method} was not trained: the profile names it in radiology.methods, not in small_models.methods"
    if method == LLM:
        return f"{method} was not trained: pretrain_llm says why"
    known = MODELS.get(method)
    where = f"; {known.title}: {known.where}" if known else ""
    if not folder:
        return f"set {VARIABLE} to a folder that holds a folder {method} (docs/models.md){where}"
    return f"${VARIABLE} holds no folder {method} (docs/models.md){where}"


def evaluate_retrieval_set(run: Mapping[str, Any], queries: Any, candidates: Any) -> dict[str, Any]:
    """Evaluate a retrieval; write all files but metrics.json.

    Args:
        run: the description.
        queries: records whose reports are the queries.
        candidates: records whose images are searched.

    Returns:
        rows of metrics, and the embeddings (reports, images) of our own model, None where it is not asked for.
    """
    opened = RadiologyRun.open(run)
    split = opened.retrieval.split or ",".join(opened.data.corpus.splits)
    gallery = Gallery(opened.data, queries, candidates)
    numbers = RetrievalNumbers(gallery, split, opened.retrieval, opened.settings, paired_with=PAPER_BASELINES)
    methods, ours, has_references = [], None, False
    for method, mode, reader in opened.readers():
        if isinstance(reader, Reader):
            embedded = numbers.add(reader, with_references=not has_references)
            has_references = True
            ours = embedded if (method, mode) == (OURS, "native") else ours
        methods.append(opened.facts(method, mode, reader, num_images=len(candidates), num_texts=len(queries)))
    numbers.compare(OURS)
    groups = {"study": opened.data.study_id, "subject": opened.data.subject_id}
    opened.write(
        comparisons=numbers.comparisons,
        methods=[{"cohort": "all_views", **row} for row in methods],
        duplicates=opened.duplicates(groups),
        exposure=opened.exposure(),
    )
    return {"metrics": numbers.metrics, "ours": ours}


def evaluate_zero_shot(run: Mapping[str, Any]) -> None:
    """Evaluate a classification and write all files."""
    opened, asked = RadiologyRun.open(run), run["radiology"]
    try:
        films = Labelled.of(opened.data)
    except NothingToTellError as error:
        opened.write_nothing(str(error), cohort=asked["cohort"], dataset=asked["dataset"])
        return
    cohort = asked["cohort"]
    root = Path(opened.settings.prompts) if opened.settings.prompts else PROMPTS
    prompts = read_prompts(root / asked["dataset"])
    split = ",".join(opened.data.corpus.splits)
    finding = asked["finding"]
    numbers = ZeroShotNumbers(films, prompts, finding, cohort, split, opened.settings, paired_with=PAPER_BASELINES)
    methods, num_texts = [], sum(len(each.positive) + len(each.negative) for each in prompts)
    for method, mode, reader in opened.readers():
        if isinstance(reader, Reader):
            numbers.add(reader)
        methods.append(opened.facts(method, mode, reader, num_images=len(films.records), num_texts=num_texts))
    numbers.add_constants()
    numbers.compare(OURS)
    of_film = opened.data.films
    groups = {
        "class": np.array([str(value) for value in of_film.label]),
        "origin": of_film.group("origin"),
        "subject": opened.data.subject_id,
    }
    opened.write(
        metrics=numbers.metrics,
        prompts=numbers.said(),
        comparisons=numbers.comparisons,
        curves=numbers.curves,
        methods=[{"cohort": cohort, **row} for row in methods],
        duplicates=opened.duplicates(groups),
        exposure=opened.exposure(),
    )
    log.info("%s: %d films, %d numbers", asked["dataset"], len(films.records), len(numbers.metrics))
