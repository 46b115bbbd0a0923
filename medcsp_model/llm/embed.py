"""Embeds a corpus with the LLM variant, as `medcsp_model.embed` does with our model."""

from pathlib import Path

import torch

from medcsp_model.corpus import Corpus
from medcsp_model.distributed import choose_device
from medcsp_model.embed import RecordEmbedder, check_sizes
from medcsp_model.llm.language import in_words_of
from medcsp_model.llm.model import load_llm
from medcsp_model.llm.trainer import collate_for


class LlmEmbedder(RecordEmbedder):
    """A trained variant beside a corpus it shall embed.

    Args:
        checkpoint: folder of a finished run of the variant.
        corpus: an open corpus.
        words: vocabulary of the corpus by token id.
        num_threads: CPU threads; 0 takes torch's own choice.

    Raises:
        ValueError: the run is not finished, or a modality of the corpus has another size than in training.
    """

    def __init__(self, checkpoint: str | Path, corpus: Corpus, *, words: list[str], num_threads: int = 0) -> None:
        if num_threads:
            torch.set_num_threads(num_threads)
        device = choose_device("auto")
        model = load_llm(checkpoint, device=device)
        translated = in_words_of(model.words, corpus, words, context_length=model.settings.context_length)
        check_sizes(model.encoders, corpus)
        self.model, self.corpus, self.checkpoint = model, translated, Path(checkpoint)
        settings = model.encoders.description.settings
        self.collate = collate_for(settings, translated, model.settings, device=device)
