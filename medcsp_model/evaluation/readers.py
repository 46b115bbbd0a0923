"""Models over one evaluation set: whatever embeds its images, its reports and prompts, in one of two modes.

Ours reads the corpus as training does: stored grey squares and tokens. A published model is given what its own
preprocessing and tokenizer begin with: pictures and texts. A picture is the released file where that is a PNG or JPG,
and of DICOM a JPG file of the same name; where a film has none, all are the stored squares. A text is the whole report,
or, in mode `native`, for a text tower that reads fewer than 128 tokens, findings and impression.

Letters: K records, D width, H height and width of stored pixels.
"""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from medcsp_model.checkpoint import file_sha256
from medcsp_model.corpus import Corpus, CorpusError, Films, Image, Text
from medcsp_model.corpus.films import FILMS
from medcsp_model.embed import Embedder
from medcsp_model.evaluation.zero_shot import PromptSet, class_logits, margin

log = logging.getLogger(__name__)
Mode = Literal["native", "paper"]
Control = Literal["", "lung_only", "border_only"]
Embeddings = NDArray[np.float32]
SHORT_CONTEXT = 128
"""Text towers of fewer tokens see little more of a whole report than its technique."""
PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class EvaluationSet:
    """The X-rays of one corpus with what is known of them.

    Attributes:
        corpus: one source with one image modality.
        source, image: names.
        text: name of the text modality; empty where there is none.
        films: one entry per record, in the corpus's order.
        root: folder of the release; None where it is not there.
    """

    corpus: Corpus
    source: str
    image: str
    text: str
    films: Films
    root: Path | None = None

    @classmethod
    def open(cls, folder: str | Path, *, root: str = "") -> "EvaluationSet":
        """Open a corpus of films.

        Raises:
            CorpusError: it has more than one source, or not one image modality.
        """
        corpus = Corpus.open(folder)
        if len(corpus.sources) != 1:
            raise CorpusError(f"{folder}: sources {list(corpus.sources)}; an evaluation set has one")
        ((name, source),) = corpus.sources.items()
        images = [key for key, value in source.modalities.items() if isinstance(value, Image)]
        texts = [key for key, value in source.modalities.items() if isinstance(value, Text)]
        if len(images) != 1 or len(texts) > 1:
            raise CorpusError(f"{folder}: images {images} and texts {texts} of {name}; one of each at most")
        films = Films.open(folder, source.record_id)
        return cls(corpus, name, images[0], texts[0] if texts else "", films, Path(root) if root else None)

    @cached_property
    def pixels(self) -> Image:
        """The image modality."""
        found = self.corpus.sources[self.source].modalities[self.image]
        assert isinstance(found, Image)
        return found

    @cached_property
    def has_pictures(self) -> bool:
        """Whether every film with stored pixels lies below the root as a picture too."""
        records = np.flatnonzero(self.pixels.present)
        if self.root is None or not len(records):
            return False
        missing = sum(not _picture_file(self.root, self.films.path[record]).is_file() for record in records)
        if 0 < missing < len(records):
            log.warning("%d of %d films have no picture: all are shown as stored squares", missing, len(records))
        return missing == 0

    @property
    def subject_id(self) -> NDArray[np.int64]:
        """Subject of every record, int64 (n,)."""
        return self.corpus.sources[self.source].subject_id

    @property
    def study_id(self) -> NDArray[np.int64]:
        """Study of every record, int64 (n,)."""
        return self.corpus.sources[self.source].study_id


def keep_of(control: Control, lungs_KHH: NDArray[np.bool_] | None, *, size: int, border: float) -> NDArray[np.bool_]:
    """What a control leaves of a picture, bool (size, size) or (K, size, size)."""
    if control == "lung_only":
        assert lungs_KHH is not None
        return lungs_KHH
    width = max(1, round(border * size))
    keep = np.ones((size, size), dtype=bool)
    keep[width:-width, width:-width] = False
    return keep


class Reader(ABC):
    """A model over an evaluation set.

    Attributes:
        method: its name in `metrics`.
        mode: how it is run.
        data: the evaluation set.
        border: width of the border of control `border_only`, share of the side.
    """

    method: str
    mode: Mode
    data: EvaluationSet
    border: float
    logit_scale: float

    @abstractmethod
    def images(self, records: NDArray[np.int64], *, control: Control = "") -> Embeddings:
        """Embeddings of films, float32 (K, D), of length 1."""

    @abstractmethod
    def reports(self, records: NDArray[np.int64]) -> Embeddings:
        """Embeddings of the reports of records that have one, float32 (K, D), of length 1."""

    @abstractmethod
    def prompts(self, texts: Sequence[str]) -> Embeddings:
        """Embeddings of prompts, float32 (K, D), of length 1."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What `radiology_methods` says of it: pictures, texts, embed_dim, context_length, num_parameters."""

    def scores(self, images_KD: Embeddings, prompts: PromptSet) -> NDArray[np.float64]:
        """Score of every image under a prompt set, float64 (K,): above zero where argmax says positive."""
        embedded_PD = self.prompts([*prompts.negative, *prompts.positive])
        negative_PD, positive_PD = np.split(embedded_PD, [len(prompts.negative)])
        logits = class_logits(
            images_KD, negative_PD, positive_PD, logit_scale=self.logit_scale, pooling=prompts.pooling
        )
        return margin(logits)


class Ours(Reader):
    """Our own checkpoint.

    Args:
        data: the evaluation set.
        checkpoint: folder of a finished run.
        vocabulary: folder of the tokenizer that the run read its texts by (vocab.txt); empty where no prompt is read.
        mode: `paper` leaves the shared head off, as the released evaluation did.
        raw_towers: leave it off in mode `native` too.
        batch_size: records embedded at a time.
        border: see `Reader`.
        num_threads: CPU threads; 0 takes torch's own choice.
        method: its name.
    """

    def __init__(
        self,
        data: EvaluationSet,
        checkpoint: str | Path,
        *,
        mode: Mode,
        vocabulary: str = "",
        raw_towers: bool = False,
        batch_size: int = 64,
        border: float = 0.1,
        num_threads: int = 0,
        method: str = "medcsp",
    ) -> None:
        self.method, self.mode, self.data, self.border, self.batch_size = method, mode, data, border, batch_size
        self.vocabulary = vocabulary
        raw = raw_towers or mode == "paper"
        self.embedder = Embedder(checkpoint, data.corpus, raw_towers=raw, num_threads=num_threads)
        self.model = self.embedder.model
        self.logit_scale = 1 / self.model.description.settings.loss.tau

    def images(self, records: NDArray[np.int64], *, control: Control = "") -> Embeddings:
        """From the stored pixels."""
        if not control:
            return self.embedder.modality(self.data.source, self.data.image, records, batch_size=self.batch_size)
        return _together([self._controlled(part, control) for part in _parts(records, self.batch_size)])

    @torch.inference_mode()
    def _controlled(self, records: NDArray[np.int64], control: Control) -> torch.Tensor:
        size = self.data.pixels.size
        lungs = self.data.films.lungs(records, size=size) if control == "lung_only" else None
        pixels = self.data.pixels.pixels(records) * keep_of(control, lungs, size=size, border=self.border)
        return self._headed(self.model.encode_image(torch.from_numpy(pixels).to(self._device)))

    def reports(self, records: NDArray[np.int64]) -> Embeddings:
        """From the tokens that training would read."""
        return self.embedder.modality(self.data.source, self.data.text, records, batch_size=self.batch_size)

    @torch.inference_mode()
    def prompts(self, texts: Sequence[str]) -> Embeddings:
        """By the run's own tokenizer."""
        tokens = self._tokenizer(list(texts), self._context)
        return _together([self._headed(self.model.encode_text(tokens.ids_KL.to(self._device)))])

    def facts(self) -> dict[str, Any]:
        """As `Reader` says."""
        return {
            "pictures": "stored",
            "texts": "report" if self.data.text else "prompts",
            "embed_dim": self.model.description.settings.model.embed_dim,
            "context_length": self._context,
            "num_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
        }

    @cached_property
    def _tokenizer(self) -> Any:
        from medcsp_model.baselines.radiology.words import TextTokenizer

        return TextTokenizer(self.vocabulary)

    @property
    def _context(self) -> int:
        return int(self.model.description.towers["bert"]["max_position_embeddings"])

    @property
    def _device(self) -> torch.device:
        return self.model.head.weight.device

    def _headed(self, e_KD: torch.Tensor) -> torch.Tensor:
        return F.normalize(e_KD if self.model.raw_towers else self.model.apply_head(e_KD), dim=-1)


class Published(Reader):
    """A model of `medcsp_model.baselines.radiology`.

    Args:
        method: its name.
        model: in the mode that it is read in, on the device where it shall run.
        data: the evaluation set.
        batch_size: images or texts embedded at a time.
        border: see `Reader`.
        kept: folder where embeddings are kept, so that a killed evaluation goes on; None keeps none. Of one model: they
            are kept by its name and mode and by the films, not by its weights.
    """

    def __init__(
        self,
        method: str,
        model: Any,
        data: EvaluationSet,
        *,
        batch_size: int = 32,
        border: float = 0.1,
        kept: Path | None = None,
    ) -> None:
        self.method, self.model, self.mode, self.data = method, model, model.mode, data
        self.batch_size, self.border, self.kept = batch_size, border, kept
        self.logit_scale = model.logit_scale
        self.has_pictures = not getattr(model, "reads_stored", False) and data.has_pictures

    def images(self, records: NDArray[np.int64], *, control: Control = "") -> Embeddings:
        """From the released files, or the stored squares."""
        from medcsp_model.baselines.radiology.interface import embed_images

        pictures = self._pictures(records, control)
        return self._kept(
            f"images-{control or 'whole'}-{self._content(records)}",
            lambda: embed_images(self.model, pictures, batch_size=self.batch_size),
        )

    def reports(self, records: NDArray[np.int64]) -> Embeddings:
        """From the texts."""
        from medcsp_model.baselines.radiology.interface import embed_texts

        films = self.data.films
        texts = films.summary if self.reads_summaries else films.whole
        chosen = [texts[row] for row in films.text[records]]
        return self._kept(
            f"reports-{self._content(records)}", lambda: embed_texts(self.model, chosen, batch_size=self.batch_size)
        )

    def prompts(self, texts: Sequence[str]) -> Embeddings:
        """One batch, as the released harness gave them."""
        from medcsp_model.baselines.radiology.interface import embed_texts

        return embed_texts(self.model, texts, kind="prompt", batch_size=len(texts))

    @property
    def reads_summaries(self) -> bool:
        """Whether it reads findings and impression instead of the whole report."""
        return bool(self.mode == "native" and self.model.rules["report"].context_length < SHORT_CONTEXT)

    def facts(self) -> dict[str, Any]:
        """As `Reader` says."""
        report = "findings_and_impression" if self.reads_summaries else "report"
        rule = self.model.rules["report" if self.data.text else "prompt"]
        return {
            "pictures": "original" if self.has_pictures else "stored",
            "texts": report if self.data.text else "prompts",
            "embed_dim": int(self.model.embed_dim),
            "context_length": int(rule.context_length),
            "num_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
        }

    def _content(self, records: NDArray[np.int64]) -> str:
        """Digest of which films are read, and of what: embeddings are kept by it."""
        corpus, root = self.data.corpus, self.data.root if self.has_pictures else None
        about = f"{corpus.fingerprint} {file_sha256(corpus.folder / FILMS)} {root} "
        return hashlib.sha256(about.encode() + records.tobytes()).hexdigest()[:16]

    def _kept(self, name: str, make: Any) -> Embeddings:
        path = self.kept / f"{self.method}-{self.mode}-{name}.npy" if self.kept is not None else None
        if path is not None and path.is_file():
            loaded: Embeddings = np.load(path, allow_pickle=False)
            return loaded
        made: Embeddings = make()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".new.npy")
            np.save(beside, made)
            beside.replace(path)
        return made

    def _pictures(self, records: NDArray[np.int64], control: Control) -> Iterator[PIL.Image.Image]:
        for record in records.tolist():
            picture = self._picture(record)
            yield self._blackened(picture, record, control) if control else picture

    def _picture(self, record: int) -> PIL.Image.Image:
        if self.has_pictures:
            assert self.data.root is not None
            with PIL.Image.open(_picture_file(self.data.root, self.data.films.path[record])) as opened:
                opened.load()
                return opened
        return PIL.Image.fromarray(self.data.pixels.pixels([record])[0])

    def _blackened(self, picture: PIL.Image.Image, record: int, control: Control) -> PIL.Image.Image:
        """A grey picture of which a control left its part; lung masks are stretched to its size."""
        size = self.data.pixels.size
        lungs = self.data.films.lungs([record], size=size) if control == "lung_only" else None
        keep = np.broadcast_to(keep_of(control, lungs, size=size, border=self.border), (1, size, size))[0]
        stretched = PIL.Image.fromarray(np.where(keep, 255, 0).astype(np.uint8)).resize(picture.size)
        grey = picture.convert("L")
        return PIL.Image.composite(
            grey, PIL.Image.new("L", grey.size), stretched.point(lambda value: 255 * (value > 127))
        )


def _picture_file(root: Path, path: str) -> Path:
    """Where a film lies as a picture: the released file, or the JPG file made of a DICOM file."""
    return root / path if path.lower().endswith(PICTURES) else (root / path).with_suffix(".jpg")


def _parts(records: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for first in range(0, len(records), size):
        yield records[first : first + size]


def _together(parts: Sequence[torch.Tensor]) -> Embeddings:
    whole: Embeddings = torch.cat([part.float().cpu() for part in parts]).numpy()
    return whole
