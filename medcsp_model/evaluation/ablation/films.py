"""Zero-shot classification of an evaluation set's films by a variant: what the paper's Figure 7 measures.

Films and prompts are read, embedded and told apart as those of our own model are (`medcsp_model.evaluation.readers`),
by the headline prompts alone. A model's values are the scores of all labelled films; F1 at argmax, which the paper has,
and AUROC, which a constant answer cannot raise, are made of them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from medcsp_model.checkpoint import file_sha256
from medcsp_model.corpus.films import FILMS
from medcsp_model.evaluation import areas
from medcsp_model.evaluation.ablation.measures import Floats, Ints, Measure
from medcsp_model.evaluation.readers import EvaluationSet, Ours
from medcsp_model.evaluation.zero_shot import METRICS, PROMPTS, PromptSet, constant_scores, read_prompts
from medcsp_model.evaluation.zero_shot_report import Labelled

SCORES = "zero_shot"
"""Name of the values: the score of every film."""
F1, AUROC, ALL_POSITIVE = "f1", "auroc", "all_positive"


@dataclass(frozen=True)
class FilmBench:
    """The labelled films of an evaluation set and the prompts that tell them apart.

    Attributes:
        films: the films.
        prompts: the headline set.
        vocabulary: folder of the tokenizer that the variants' texts were read by (vocab.txt).
        cohort: name of the films, for tables.
        raw_towers: leave the shared head off, as the evaluation of our own model does under the same setting.
    """

    films: Labelled
    prompts: PromptSet
    vocabulary: Path
    cohort: str
    raw_towers: bool = False

    @classmethod
    def open(cls, asked: Mapping[str, Any]) -> Self:
        """Open what a run description asks for.

        Args:
            asked: {"corpus", "dataset", "cohort", "vocabulary", "prompts", "headline", "raw_towers"}; `prompts` is a
                folder with a folder of prompt sets for each data set, empty for those of our own wording.

        Raises:
            NothingToTellError: no film has a label, or all have the same.
            ValueError: no prompt set has the headline's name.
        """
        folder = (Path(asked["prompts"]) if asked["prompts"] else PROMPTS) / asked["dataset"]
        by_name = {each.name: each for each in read_prompts(folder)}
        if asked["headline"] not in by_name:
            raise ValueError(f"{folder}: no prompt set {asked['headline']!r} (radiology.headline); has {list(by_name)}")
        films = Labelled.of(EvaluationSet.open(asked["corpus"]))
        headline, vocabulary = by_name[asked["headline"]], Path(asked["vocabulary"])
        return cls(films, headline, vocabulary, asked["cohort"], asked["raw_towers"])

    @property
    def content(self) -> str:
        """Digest of all that a score depends on beside the model."""
        corpus = self.films.data.corpus
        known = {
            "corpus": corpus.fingerprint,
            "films": file_sha256(corpus.folder / FILMS),
            "prompts": asdict(self.prompts),
            "vocabulary": file_sha256(self.vocabulary / "vocab.txt"),
            "raw_towers": self.raw_towers,
        }
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def values_of(self, checkpoint: Path, *, num_threads: int) -> tuple[Floats, Ints]:
        """Score of every film by a trained model, float64 (N,), and its patient."""
        reader = Ours(
            self.films.data,
            checkpoint,
            mode="native",
            vocabulary=str(self.vocabulary),
            raw_towers=self.raw_towers,
            num_threads=num_threads,
        )
        return reader.scores(reader.images(self.films.records), self.prompts), self.films.subject

    def measures(self) -> tuple[Measure, ...]:
        """F1 beside that of calling every film positive, and AUROC."""
        label = self.films.label
        split = ",".join(self.films.data.corpus.splits)
        place = {"cohort": self.cohort, "mode": self.prompts.name, "k": 0, "split": split}
        positive = areas.score(METRICS[F1], label, constant_scores(len(label))[ALL_POSITIVE])
        references = {F1: {"chance": float(label.mean()), ALL_POSITIVE: positive}, AUROC: {"chance": 0.5}}
        return tuple(
            Measure(
                rows=SCORES,
                place=place | {"metric": metric},
                of=partial(METRICS[metric], label),
                references=beside,
                num_positive=int(label.sum()),
            )
            for metric, beside in references.items()
        )
