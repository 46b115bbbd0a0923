"""Settings of the evaluations: retrieval, predictions, X-rays, and the small models that stand beside ours."""

from dataclasses import dataclass, field
from typing import Literal

from medcsp_model.settings.plain import PlainSettings, check_least
from medcsp_model.settings.sweep import SweepSettings


@dataclass(frozen=True, kw_only=True)
class RetrievalSettings(PlainSettings):
    """How text-to-image retrieval is evaluated.

    Attributes:
        split: split of the corpus to search; empty takes every record of the corpus.
        source: source to search; empty takes the only one with one image and one text modality.
        ks: numbers of results to look at; those beyond the number of candidates are left out.
        num_draws: bootstrap draws of subjects behind each interval.
        seed: of the bootstrap.
        raw_towers: embed without the shared head, as the released evaluation does.
        batch_size: records embedded at a time.
        num_threads: CPU threads; 0 takes torch's own choice.
    """

    split: str = ""
    source: str = ""
    ks: tuple[int, ...] = (1, 5, 10, 20, 50, 100)
    num_draws: int = 2000
    seed: int = 0
    raw_towers: bool = False
    batch_size: int = 64
    num_threads: int = 0

    def check(self) -> None:
        """Refuse values that cannot be, with a ValueError."""
        check_least(self, 1, "ks", "num_draws", "batch_size")
        check_least(self, 0, "seed", "num_threads")
        if not self.ks:
            raise ValueError("settings.ks: name at least one number of results")


@dataclass(frozen=True, kw_only=True)
class PredictionEvaluation(PlainSettings):
    """What is measured of which methods on every prediction task.

    Attributes:
        methods: what is evaluated, by the names of `metrics`; a task takes those of them that the paper gives it.
        sizes: networks as published, or at sizes that a core trains in seconds.
        sweep: training and intervals.
        thresholds: risks above which one would treat.
        few_methods: methods that are trained on few positives too.
        few_positives: on so many; those that a task does not have are left out.
        few_draws: draws of them.
        fold_seeds: with so many of the seeds the declared comparisons are cross-validated; 0 leaves that out.
    """

    methods: tuple[str, ...] = (
        *("medcsp", "medcsp_linear_probe", "medcsp_scratch"),
        *("f_lstm", "f_cnn", "raim", "dcmn", "medhmp"),
        *("bert_lstm", "bert_cnn", "bert_encoder", "bert_star"),
        *("lstm_bert", "cnn_bert", "encoder_bert", "star_bert"),
        *("logistic_regression", "gradient_boosting"),
    )
    sizes: Literal["published", "demo"] = "published"
    sweep: SweepSettings = field(default_factory=SweepSettings)
    thresholds: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3)
    few_methods: tuple[str, ...] = ("medcsp", "medcsp_linear_probe", "medcsp_scratch", "gradient_boosting")
    few_positives: tuple[int, ...] = (10, 30, 100)
    few_draws: int = 20
    fold_seeds: int = 1

    def check(self) -> None:
        """Refuse values that cannot be, with a ValueError."""
        self.sweep.check()
        if not self.methods:
            raise ValueError("settings.methods: name at least one")
        if not all(0 < threshold < 1 for threshold in self.thresholds):
            raise ValueError(f"settings.thresholds: must lie between 0 and 1, got {self.thresholds}")
        check_least(self, 1, "few_positives", "few_draws")
        if not 0 <= self.fold_seeds <= len(self.sweep.seeds):
            raise ValueError(f"settings.fold_seeds: {self.fold_seeds}, of {len(self.sweep.seeds)} seeds")


@dataclass(frozen=True, kw_only=True)
class RadiologyEvaluation(PlainSettings):
    """Which models are evaluated on X-rays, and how.

    Attributes:
        methods: by the names of `metrics`: `medcsp`, `medcsp_llm`, published models by the folder below MEDCSP_WEIGHTS
            that holds each, and `<family>_small`, trained here. A model that cannot be had has a reason, no number.
        modes: every model as its authors ran it (`native`), and as the released evaluation ran it (`paper`).
        headline: prompt set that stands for a model where one number must; the others give mean and spread.
        prompts: folder with a folder of prompt sets (*.toml) for each task; empty takes those of our own wording.
        num_draws: bootstrap draws of patients behind each interval of a classification.
        seed: of the draws.
        batch_size: images or texts embedded at a time.
        smallest_group: a subgroup of fewer images or queries has no numbers, one with fewer images of a class only the
            share that is called positive.
        border: width of the border that alone is left in the control `border_only`, share of the side.
        most_bits: bits in which two perceptual hashes may differ and the images still count as alike.
    """

    methods: tuple[str, ...] = (
        *("medcsp", "medcsp_llm", "medcsp_released", "clip", "pubmedclip", "biomedclip"),
        *("medclip", "cxr_clip", "llava_med", "llava_med_v1"),
    )
    modes: tuple[Literal["native", "paper"], ...] = ("native", "paper")
    headline: str = "description"
    prompts: str = ""
    num_draws: int = 10_000
    seed: int = 0
    batch_size: int = 32
    smallest_group: int = 10
    border: float = 0.1
    most_bits: int = 4

    def check(self) -> None:
        """Refuse values that cannot be, with a ValueError."""
        if not self.methods or not self.modes:
            raise ValueError("settings.methods and settings.modes: name at least one of each")
        check_least(self, 1, "num_draws", "batch_size", "smallest_group")
        check_least(self, 0, "seed", "most_bits")
        if not 0 < self.border < 0.5:
            raise ValueError(f"settings.border: must lie between 0 and 0.5, got {self.border}")


@dataclass(frozen=True, kw_only=True)
class SmallModels(PlainSettings):
    """Small models of the published families, trained on the pre-training corpus's X-rays by their own objectives.

    Attributes:
        methods: those that are trained, by the names of `metrics`.
        steps: of training.
        batch_size: films of a step.
        lr: of AdamW.
        embed_dim: width of the embeddings.
        seed: of weights and batches.
        num_threads: CPU threads; 0 takes torch's own choice.
    """

    methods: tuple[str, ...] = ()
    steps: int = 300
    batch_size: int = 32
    lr: float = 3e-3
    embed_dim: int = 64
    seed: int = 0
    num_threads: int = 0

    def check(self) -> None:
        """Refuse values that cannot be, with a ValueError."""
        check_least(self, 1, "steps", "batch_size", "embed_dim")
        check_least(self, 0, "seed", "num_threads")
        if self.lr <= 0:
            raise ValueError(f"settings.lr: must be above 0, got {self.lr}")


def demo_prediction(*, every_method: bool = False) -> PredictionEvaluation:
    """Prediction at a size that two CPU cores evaluate in minutes: ours and the simple references, or every method."""
    simple = ("medcsp", "medcsp_linear_probe", "medcsp_scratch", "logistic_regression", "gradient_boosting")
    return PredictionEvaluation(
        methods=PredictionEvaluation().methods if every_method else simple,
        sizes="demo",
        sweep=SweepSettings(
            batch_sizes=(32,),
            learning_rates=(3e-3,),
            seeds=(0,) if every_method else (0, 1),
            max_epochs=3 if every_method else 5,
            patience=2,
            device="cpu",
            num_threads=1,
            num_draws=1000,
        ),
        few_methods=("medcsp", "medcsp_scratch"),
        few_positives=(10,),
        few_draws=2,
        fold_seeds=0,
    )
