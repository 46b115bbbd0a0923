"""Embed with the LLM variant: `python -m medcsp_model.llm.embed --settings run.json`.

run.json as in `medcsp_model.embed`, without "raw_towers", and with "vocabulary", the word pieces of the corpus, one a
line. The output is the same.
"""

import sys
from pathlib import Path

import torch

from medcsp_model.command import read_run, start
from medcsp_model.corpus import Corpus
from medcsp_model.distributed import choose_device
from medcsp_model.embed import KEYS, RecordEmbedder, check_run, check_sizes, embed_as_told
from medcsp_model.llm.language import in_words_of, read_words
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


def main() -> int:
    """Run the command; the exit status is 0, or 2 for an error the user can repair."""
    run = read_run(__doc__, (*KEYS, "vocabulary"), optional=("batch_size", "sources", "splits", "num_threads"))
    check_run(run)
    words, corpus = read_words(run["vocabulary"]), Corpus.open(run["corpus"])
    embedder = LlmEmbedder(run["checkpoint"], corpus, words=words, num_threads=int(run.get("num_threads", 0)))
    embed_as_told(embedder, run)
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
