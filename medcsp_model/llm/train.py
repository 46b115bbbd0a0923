"""Train the LLM variant: `python -m medcsp_model.llm.train --settings run.json`.

run.json: {"corpus", "run_folder", "settings", "llm", "checkpoint", "vocabulary", "language"}: `settings` as in
`medcsp_model.train`, `llm` as in `medcsp_model.settings.LlmSettings`, `checkpoint` a finished run of our model,
`vocabulary` the word pieces of the corpus, one a line, `language` a folder in transformers' format, or "" for a tiny
LLaMA with random weights, which is written to `run_folder`/language and says nothing about the variant's worth.

Finished, resumed and stopped as `medcsp_model.train`; the run folder holds the same files, model.safetensors being the
projection alone. Several GPUs: under `torchrun`, each with the whole language model.
"""

import sys
from pathlib import Path

from medcsp_model.command import read_run, start
from medcsp_model.corpus import Corpus
from medcsp_model.settings.llm import LlmSettings
from medcsp_model.settings.training import Settings
from medcsp_model.train import STOPPED, Stop

KEYS = ("corpus", "run_folder", "settings", "llm", "checkpoint", "vocabulary", "language")


def main() -> int:
    """Run the command; the exit status is 0, 2 for an error the user can repair, or 143 after SIGTERM or ^C."""
    stop = Stop()
    stop.heed_signals()
    run = read_run(__doc__, KEYS)
    corpus, settings, llm = (
        Corpus.open(run["corpus"]),
        Settings.from_json(run["settings"]),
        LlmSettings.from_json(run["llm"]),
    )
    # Loading torch takes seconds: a wrong run.json is refused before.
    from medcsp_model.distributed import connected
    from medcsp_model.llm.language import read_words, write_random_language
    from medcsp_model.llm.trainer import LlmTrainer, Places
    from medcsp_model.trainer import StoppedError

    folder = Path(run["run_folder"])
    language = Path(run["language"] or folder / "language")
    with connected(settings.run.device, timeout_seconds=settings.run.timeout_seconds) as ranks:
        if not run["language"] and ranks.is_first:
            write_random_language(language, read_words(run["vocabulary"]), seed=settings.run.seed)
        ranks.from_first(0)
        places = Places(language, Path(run["checkpoint"]), Path(run["vocabulary"]))
        try:
            LlmTrainer(
                corpus, settings=settings, llm=llm, places=places, folder=folder, should_stop=stop, ranks=ranks
            ).run()
        except StoppedError as stopped:
            print(stopped, flush=True)
            return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
