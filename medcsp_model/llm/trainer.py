"""Trains the projection: the loop, the batches and the losses of `medcsp_model.trainer`, with the variant's model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from medcsp_model.collate import Collate
from medcsp_model.corpus import Corpus
from medcsp_model.llm.language import Language, in_words_of, read_words
from medcsp_model.llm.model import MedCSPLLM, checkpoint_digest
from medcsp_model.model import load_model
from medcsp_model.settings.llm import LlmSettings
from medcsp_model.settings.training import Settings
from medcsp_model.trainer import Trainer


@dataclass(frozen=True)
class Places:
    """Folders that a run starts from.

    Attributes:
        language: language model and its tokenizer.
        checkpoint: finished run of our model.
        vocabulary: file with the word pieces of the corpus, one a line.
    """

    language: Path
    checkpoint: Path
    vocabulary: Path


class LlmTrainer(Trainer):
    """One training run of the projection in one folder; a killed one goes on as any other.

    Args:
        corpus: the corpus that our model was trained on, or another with modalities of the same sizes.
        settings: losses, batches, optimiser and run; the model is the checkpoint's, and nothing is compiled.
        llm: settings of the variant.
        places: what it starts from.
        options: as in `Trainer`.

    Raises:
        ValueError: something is missing, or the folder holds another run.
    """

    def __init__(self, corpus: Corpus, *, settings: Settings, llm: LlmSettings, places: Places, **options: Any) -> None:
        self.llm, self.places = llm, places
        self.language = Language.open(places.language, dtype=llm.dtype)
        self.encoders = load_model(places.checkpoint)
        words = read_words(places.vocabulary)
        translated = in_words_of(self.language, corpus, words, context_length=llm.context_length)
        model = self.encoders.description.settings.to_json()["model"]
        super().__init__(translated, settings=settings.replace(model=model, run={"compile": "off"}), **options)

    def fingerprint(self) -> dict[str, Any]:
        """With language model and checkpoint."""
        return {**super().fingerprint(), "llm": self._description()["llm"]}

    @property
    def trained(self) -> nn.Module:
        """The projection."""
        assert isinstance(self.model, MedCSPLLM)
        return self.model.projection

    def _build_model(self, *, is_new: bool) -> MedCSPLLM:
        return MedCSPLLM(self.language, self.encoders, settings=self.llm)

    def _build_collate(self) -> Collate:
        return collate_for(self.encoders.description.settings, self.corpus, self.llm, device=self.device)

    def _description(self) -> dict[str, Any]:
        return {
            "llm": {
                "settings": self.llm.to_json(),
                "language": str(self.places.language),
                "language_digest": self.language.digest,
                "checkpoint": str(self.places.checkpoint),
                "checkpoint_sha256": checkpoint_digest(self.places.checkpoint),
            }
        }


def collate_for(settings: Settings, corpus: Corpus, llm: LlmSettings, *, device: Any) -> Collate:
    """What makes inputs of a corpus whose texts are in the language model's tokens."""
    return Collate(
        corpus,
        device=device,
        pad_to=settings.model.text.pad_to,
        context_length=llm.context_length,
        encode_absent=settings.model.absent == "encoded",
    )
