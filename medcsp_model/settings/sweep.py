"""Settings by which methods of prediction are trained and compared.

They stand alone: the code of a training is part of its name, and what is measured besides shall not change it.
"""

from dataclasses import dataclass
from typing import Literal

from medcsp_model.settings.plain import PlainSettings, check_least


@dataclass(frozen=True, kw_only=True)
class SweepSettings(PlainSettings):
    """How methods of prediction are trained and compared: the same for every method.

    Attributes:
        batch_sizes, learning_rates: the grid, the paper's by default.
        seeds: of weights, batches and dropout; scores are averaged over them.
        search_seeds: with so many of the seeds every point of the grid is trained, with the rest the best alone.
        monitor: what validation says of a training: higher areas or a lower loss are better; ties go to the loss.
        max_epochs: passes over the training records.
        patience: epochs without a better validation after which training stops.
        weight_decay: AdamW's.
        clip_norm: largest gradient norm; 0 never clips.
        device: `auto` takes CUDA where there is one.
        num_workers: processes that train at the same time, one thread each.
        num_threads: CPU threads where one process trains; 0 takes torch's own choice.
        num_draws: bootstrap draws of patients behind each interval.
        bootstrap_seed: of the draws.
    """

    batch_sizes: tuple[int, ...] = (32, 64, 128, 256)
    learning_rates: tuple[float, ...] = (2e-5, 2e-4, 2e-3, 2e-2)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    search_seeds: int = 1
    monitor: Literal["auroc", "average_precision", "loss"] = "auroc"
    max_epochs: int = 50
    patience: int = 5
    weight_decay: float = 1e-3
    clip_norm: float = 1.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    num_workers: int = 1
    num_threads: int = 0
    num_draws: int = 10_000
    bootstrap_seed: int = 0

    def check(self) -> None:
        """Refuse values that cannot be, with a ValueError."""
        if not all((self.batch_sizes, self.learning_rates, self.seeds)) or min(self.learning_rates) <= 0:
            raise ValueError("settings: batch_sizes, learning_rates and seeds must each hold a number, rates above 0")
        check_least(self, 1, "batch_sizes", "search_seeds", "max_epochs", "patience", "num_workers")
        check_least(self, 0, "seeds", "weight_decay", "clip_norm", "num_threads", "num_draws", "bootstrap_seed")
