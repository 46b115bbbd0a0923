"""Train: `python -m medcsp_model.train --settings run.json`, with {"corpus", "run_folder", "settings"} in run.json.

`settings` as in `medcsp_model.settings.Settings`, whose classes say what each is; `default().to_json()` has them all.
Several GPUs or nodes: `torchrun --nproc-per-node=8 -m medcsp_model.train --settings run.json`; `batch.size` is that of
all processes together, and all must see the run folder.

Finished before: returns at once. Stopped before: goes on from the last whole state, on a CPU bitwise as if never
stopped (same machine, same number of threads); a CUDA device adds up in no fixed order, so there the last bits differ.
SIGTERM and ^C save the state once the step is done; the exit status is 143. In the run folder:

    model.safetensors, model.json   the finished model and all that is needed to build it again
    metrics.jsonl                   means since the line before: step, epoch, loss, loss_a, loss_p, loss_d, grad_norm,
                                    num_linked, learning_rate, seconds, data_wait_seconds, samples_per_second; of the
                                    line's last step logit_<loss>_<positive or negative>_<mean or max>
    done.json                       last losses, steps, speed; histogram of linked pairs in a batch and what independent
                                    draws would hold; how many records are drawn how often in the first epoch
    states/                         the last two states; non_finite_step_<n>.json if a loss was no number
"""

import signal
import sys
from pathlib import Path

from medcsp_model.command import read_run, start
from medcsp_model.corpus import Corpus
from medcsp_model.settings.training import Settings

KEYS = ("corpus", "run_folder", "settings")
STOPPED = 128 + signal.SIGTERM


class Stop:
    """Remembers that the process was asked to end; before its first step is done it ends at once.

    Imports, the compiler and a first step may take minutes, and there is nothing new to save before.
    """

    asked = False
    has_stepped = False

    def __call__(self) -> bool:
        """Whether to stop; asked after every step."""
        self.has_stepped = True
        return self.asked

    def heed_signals(self) -> None:
        """Be asked by SIGTERM, and by the ^C that a terminal sends to a whole command, this process included."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.ask)

    def ask(self, *_: object) -> None:
        """Take the signal; SystemExit where no step was done yet."""
        self.asked = True
        if not self.has_stepped:
            raise SystemExit(STOPPED)


def main() -> int:
    """Run the command; the exit status is 0, 2 for an error the user can repair, or 143 after SIGTERM or ^C."""
    stop = Stop()
    stop.heed_signals()
    run = read_run(__doc__, KEYS)
    corpus, settings = Corpus.open(run["corpus"]), Settings.from_json(run["settings"])
    # Loading torch takes seconds: a wrong run.json is refused before.
    from medcsp_model.distributed import connected
    from medcsp_model.trainer import StoppedError, Trainer

    with connected(settings.run.device, timeout_seconds=settings.run.timeout_seconds) as ranks:
        try:
            Trainer(corpus, settings=settings, folder=Path(run["run_folder"]), should_stop=stop, ranks=ranks).run()
        except StoppedError as stopped:
            print(stopped, flush=True)
            return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
