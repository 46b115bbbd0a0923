"""Every setting of model, losses, batches and training, and the three recipes: `paper()`, `default()`, `demo()`.

What lives here: frozen dataclasses and their strict JSON form. What does not: anything that needs torch. Each repair
over the paper is a switch of its own, so that an ablation can say what it brings.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

Group = TypeVar("Group")


@dataclass(frozen=True, kw_only=True)
class ImageTower:
    """The image tower, one of timm's models inside open_clip's `TimmModel`.

    Attributes:
        timm_model_name: architecture; a timm ViT takes only its own image size.
        image_size: pixels per side given to the tower; stored images are resized on the device, by area.
        pool: open_clip's `timm_pool`; empty keeps the architecture's own.
        mean, std: normalisation per RGB channel, of values in [0, 1].
    """

    timm_model_name: str = "vit_base_patch16_224"
    image_size: int = 224
    pool: str = ""
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, kw_only=True)
class TextTower:
    """The text tower, a BERT inside open_clip's `HFTextEncoder`, shared by every text modality.

    Attributes:
        vocab_size: embedding rows; 0 takes the corpus's own size.
        context_length: position embeddings, the longest text in tokens.
        width, num_layers, num_heads, mlp_width: sizes of the BERT.
        dropout: of the BERT's hidden states and attention.
        proj: projection to `embed_dim`, open_clip's `hf_proj_type`.
        pooler: open_clip's `hf_pooler_type`.
        pad_to: texts of a batch are padded to a multiple of so many tokens.
        encode_distinct: encode a text that several records of a batch share once.
    """

    vocab_size: int = 30522
    context_length: int = 512
    width: int = 768
    num_layers: int = 12
    num_heads: int = 12
    mlp_width: int = 3072
    dropout: float = 0.1
    proj: Literal["linear", "mlp"] = "mlp"
    pooler: Literal["cls_last_hidden_state_pooler", "mean_pooler"] = "cls_last_hidden_state_pooler"
    pad_to: int = 32
    encode_distinct: bool = True


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Sizes of the encoders and the shared head.

    Attributes:
        embed_dim: width of every embedding.
        hidden_dim: hidden width of the code, dense and series encoders.
        head: the shared head: ReLU + LayerNorm + Dropout, LayerNorm + Dropout, or nothing.
        head_dropout: dropout of the shared head.
        absent: a modality that a record lacks never counts, or is encoded as if it were empty (zeros, a text without
            words, a black image) and counts like any other, as in the released code.
        series_state: which state of the second LSTM is the embedding.
        average_padded_stays: pad every record to `max_stays` stays and average over the padded ones too (the released
            code); otherwise a stay that does not exist never counts.
        image, text: the towers.
        towers_folder: open_clip folder whose weights the towers start from; empty starts them at random.
    """

    embed_dim: int = 512
    hidden_dim: int = 64
    head: Literal["relu_norm", "norm", "none"] = "relu_norm"
    head_dropout: float = 0.2
    absent: Literal["masked", "encoded"] = "masked"
    series_state: Literal["cell", "hidden"] = "cell"
    average_padded_stays: bool = False
    image: ImageTower = field(default_factory=ImageTower)
    text: TextTower = field(default_factory=TextTower)
    towers_folder: str = ""


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """The three losses L_A + lambda_p L_P + lambda_d L_D; formulas in `medcsp_model.losses`.

    Attributes:
        tau: temperature of every cosine similarity.
        lambda_a: weight of L_A (1 in the paper).
        lambda_p: weight of L_P.
        lambda_d: weight of L_D.
        centroid: key of L_A: mean of all the record's modalities, or of the others only (the full one holds the query).
        a_negatives: negatives of L_A: any other record, of another study, or also of another text.
        a_modalities: L_A of a source is the mean over its modalities, or their sum.
        p_positives: positives of an anchor of L_P: all its linked records, or only the first of them in the batch.
        directions: L_P and L_D from s to t alone, or the mean of both directions.
        d_target: weights of L_D: unnormalised similarities, normalised by row, or softmax(similarity / tau_d).
        tau_d: temperature of the softmax target.
        d_exclude_same_patient: leave the anchor's own records out of L_D.
        d_require_history: leave records without a history out of L_D.
        tile: rows of a matrix of similarities that are held at once; more are computed in tiles of so many, with the
            same loss and gradient, in memory that grows with the batch and not with its square.
    """

    tau: float = 0.1
    lambda_a: float = 1.0
    lambda_p: float = 0.5
    lambda_d: float = 0.2
    centroid: Literal["full", "leave_one_out"] = "leave_one_out"
    a_negatives: Literal["record", "study", "text"] = "study"
    a_modalities: Literal["mean", "sum"] = "mean"
    p_positives: Literal["all", "one"] = "all"
    directions: Literal["forward", "both"] = "both"
    d_target: Literal["unnormalised", "row", "softmax"] = "softmax"
    tau_d: float = 0.05
    d_exclude_same_patient: bool = True
    d_require_history: bool = True
    tile: int = 1024


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """Which records meet in a batch.

    Attributes:
        plan: `linked` gives a share of every batch a same-patient partner; `random` draws sources independently.
        size: records of each source in a (global) batch; fewer where a source has fewer.
        share: share of the anchors that get a partner inside the window.
        max_draws: draws of one non-anchor record an epoch.
        anchor: source passed over once an epoch; empty takes the largest that has images, else the largest.
        split: split of the corpus to train on.
        sources: those of its sources that train; empty takes all.
        validation_share: share of that split's subjects, by a seeded hash, kept out of training and searched meanwhile.
        validation_seed: of that hash, apart from the run's own so that runs of several seeds keep out the same.
    """

    plan: Literal["linked", "random"] = "linked"
    size: int = 128
    share: float = 0.5
    max_draws: int = 16
    anchor: str = ""
    split: str = "pretrain"
    sources: tuple[str, ...] = ()
    validation_share: float = 0.0
    validation_seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of an image while training, on the device; zero switches each off.

    Attributes:
        shift: largest shift, share of the side, filled from the edge.
        scale: largest relative change of size.
        rotate_degrees: largest rotation.
        brightness: largest shift of the grey value, share of the range.
        contrast: largest relative change of contrast.
        noise: standard deviation of added noise, share of the range.
    """

    shift: float = 0.0
    scale: float = 0.0
    rotate_degrees: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True, kw_only=True)
class OptimiserSettings:
    """AdamW and its schedule.

    Attributes:
        epochs: passes over the anchor source; ignored where `steps` is set.
        steps: number of steps; 0 counts epochs.
        lr: learning rate of the encoders without towers.
        tower_lr: learning rate of the image and text towers.
        weight_decay: AdamW's.
        decay_norms: decay biases and normalisation weights too.
        betas: AdamW's.
        warmup_share: share of the steps with a linear rise of the learning rate.
        schedule: constant afterwards, or a cosine down to zero.
        clip_norm: largest gradient norm; 0 never clips.
        lr_rule: how both learning rates grow with the (global) batch: not at all, or by the ratio of its records of the
            anchor source to `reference_batch`, or by the ratio's square root (the usual rule for AdamW).
        reference_batch: the batch that `lr` and `tower_lr` are meant for.
    """

    epochs: float = 10.0
    steps: int = 0
    lr: float = 1e-5
    tower_lr: float = 1e-5
    weight_decay: float = 1e-8
    decay_norms: bool = True
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_share: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    clip_norm: float = 0.0
    lr_rule: Literal["none", "linear", "sqrt"] = "none"
    reference_batch: int = 128


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a run goes about it.

    Attributes:
        seed: of the weights, the batches and the dropout.
        device: `auto` takes CUDA where there is one.
        precision: of the towers; the losses are float32 at least. float64 is for tests of exactness.
        micro_batch: records of each source that a process embeds at once; of more it caches the embeddings and their
            gradient, and embeds again part by part. 0 takes as many as the device's memory holds. A resumed run keeps
            the number it began with.
        compile: compile both towers with torch.compile: on CUDA devices alone (`auto`), never, or anywhere.
        num_threads: CPU threads; 0 takes torch's own choice. A resumed run keeps the number it began with.
        log_every: steps between two lines of log and metrics.
        validate_every: steps between two searches among the validation subjects, written with the next line of
            metrics; 0 never searches.
        save_every: steps between two saved states.
        timeout_seconds: how long a process waits for the others before it ends with an error.
    """

    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    micro_batch: int = 0
    compile: Literal["auto", "off", "on"] = "auto"
    num_threads: int = 0
    log_every: int = 50
    validate_every: int = 0
    save_every: int = 500
    timeout_seconds: int = 600


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a training run."""

    model: ModelSettings = field(default_factory=ModelSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    batch: BatchSettings = field(default_factory=BatchSettings)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    run: RunSettings = field(default_factory=RunSettings)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, numbers and lists, for `json.dumps`."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Settings from plain values; what is absent keeps its default.

        Raises:
            ValueError: an unknown key, or a value of the wrong type; the message names it by its path.
        """
        settings = _build(cls, values, "settings")
        assert isinstance(settings, cls)
        _check(settings)
        return settings

    def replace(self, **changes: Mapping[str, Any]) -> Self:
        """A copy with some fields of some groups changed: `settings.replace(loss={"lambda_d": 0.0})`."""
        plain = self.to_json()
        for group, fields in changes.items():
            if group not in plain:
                raise ValueError(f"settings: unknown key {group!r}; known: {', '.join(sorted(plain))}")
            plain[group] = plain[group] | json.loads(json.dumps(dict(fields)))
        return type(self).from_json(plain)


@dataclass(frozen=True, kw_only=True)
class RetrievalSettings:
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

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Settings from plain values; ValueError names an unknown key or a value of the wrong type."""
        settings = _build(cls, values, "settings")
        assert isinstance(settings, cls)
        if not settings.ks or min(settings.ks) < 1 or settings.num_draws < 1:
            raise ValueError("settings: ks and num_draws must be at least 1")
        return settings


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
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

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Settings from plain values; ValueError names an unknown key or a value that cannot be."""
        settings = _build(cls, values, "settings")
        assert isinstance(settings, cls)
        lists = (settings.batch_sizes, settings.learning_rates, settings.seeds)
        if not all(lists) or min(settings.batch_sizes) < 1 or min(settings.learning_rates) <= 0:
            raise ValueError("settings: batch_sizes, learning_rates and seeds must each hold a number above 0")
        if min(settings.search_seeds, settings.max_epochs, settings.patience, settings.num_workers) < 1:
            raise ValueError("settings: search_seeds, max_epochs, patience and num_workers must be at least 1")
        return settings


@dataclass(frozen=True, kw_only=True)
class PredictionEvaluation:
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

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Settings from plain values; ValueError names an unknown key or a value that cannot be."""
        settings = _build(cls, values, "settings")
        assert isinstance(settings, cls)
        SweepSettings.from_json(settings.sweep.to_json())
        if not settings.methods:
            raise ValueError("settings.methods: name at least one")
        if not all(0 < threshold < 1 for threshold in settings.thresholds):
            raise ValueError(f"settings.thresholds: must lie between 0 and 1, got {settings.thresholds}")
        if settings.few_positives and (min(settings.few_positives) < 1 or settings.few_draws < 1):
            raise ValueError("settings: few_positives and few_draws must be at least 1")
        if not 0 <= settings.fold_seeds <= len(settings.sweep.seeds):
            raise ValueError(f"settings.fold_seeds: {settings.fold_seeds}, of {len(settings.sweep.seeds)} seeds")
        return settings


def read_settings(cls: type[Group], values: Any) -> Group:
    """A group of settings from plain values; ValueError names an unknown key or a value of the wrong type."""
    built = _build(cls, values, "settings")
    assert isinstance(built, cls)
    return built


@dataclass(frozen=True, kw_only=True)
class RadiologyEvaluation:
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
        smallest_group: a subgroup of fewer images or queries has no numbers.
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

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Settings from plain values; ValueError names an unknown key or a value that cannot be."""
        settings = _build(cls, values, "settings")
        assert isinstance(settings, cls)
        if not settings.methods or not settings.modes:
            raise ValueError("settings.methods and settings.modes: name at least one of each")
        if min(settings.num_draws, settings.batch_size, settings.smallest_group) < 1:
            raise ValueError("settings: num_draws, batch_size and smallest_group must be at least 1")
        if not 0 < settings.border < 0.5:
            raise ValueError(f"settings.border: must lie between 0 and 0.5, got {settings.border}")
        return settings


@dataclass(frozen=True, kw_only=True)
class SmallModels:
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

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Settings from plain values; ValueError names an unknown key or a value that cannot be."""
        settings = _build(cls, values, "settings")
        assert isinstance(settings, cls)
        if min(settings.steps, settings.batch_size, settings.embed_dim) < 1 or settings.lr <= 0:
            raise ValueError("settings: steps, batch_size, embed_dim and lr must be above 0")
        return settings


def _build(cls: type, values: Any, path: str) -> Any:
    if not isinstance(values, Mapping):
        raise ValueError(f"{path}: expected a group of settings, got {values!r}")
    hints = get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(sorted(hints))}")
    return cls(**{key: _convert(hints[key], value, f"{path}.{key}") for key, value in values.items()})


def _convert(hint: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return _build(hint, value, path)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"{path}: {value!r} is none of {', '.join(map(repr, get_args(hint)))}")
        return value
    if get_origin(hint) is tuple:
        if isinstance(value, list | tuple) and get_args(hint)[1:] == (Ellipsis,):
            return tuple(_convert(get_args(hint)[0], item, path) for item in value)
        if not isinstance(value, list | tuple) or len(value) != len(get_args(hint)):
            raise ValueError(f"{path}: expected {len(get_args(hint))} numbers, got {value!r}")
        return tuple(_convert(kind, item, path) for kind, item in zip(get_args(hint), value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ValueError(f"{path}: expected {hint.__name__}, got {value!r}")
    return value


def _check(settings: Settings) -> None:
    positive = {
        "loss.tau": settings.loss.tau,
        "loss.tau_d": settings.loss.tau_d,
        "batch.size": settings.batch.size,
        "batch.max_draws": settings.batch.max_draws,
        "model.text.pad_to": settings.model.text.pad_to,
        "loss.tile": settings.loss.tile,
        "run.log_every": settings.run.log_every,
        "run.save_every": settings.run.save_every,
        "run.timeout_seconds": settings.run.timeout_seconds,
        "optimiser.reference_batch": settings.optimiser.reference_batch,
    }
    for name, value in positive.items():
        if value <= 0:
            raise ValueError(f"settings.{name}: must be above 0, got {value}")
    if settings.run.micro_batch < 0:
        raise ValueError(f"settings.run.micro_batch: must be 0 or more, got {settings.run.micro_batch}")
    if not 0 <= settings.batch.share <= 1:
        raise ValueError(f"settings.batch.share: must lie in [0, 1], got {settings.batch.share}")
    if not 0 <= settings.batch.validation_share < 1:
        raise ValueError(f"settings.batch.validation_share: must lie in [0, 1), got {settings.batch.validation_share}")
    if settings.optimiser.steps <= 0 and settings.optimiser.epochs <= 0:
        raise ValueError("settings.optimiser: set steps or epochs above 0")


def paper() -> Settings:
    """The recipe of the paper and the released model: 10 epochs, lr 1e-5, batch 128, tau 0.1, lambdas 0.5 and 0.2."""
    return Settings(
        model=ModelSettings(absent="encoded", average_padded_stays=True),
        loss=LossSettings(
            centroid="full",
            a_negatives="record",
            p_positives="one",
            directions="forward",
            d_target="unnormalised",
            d_exclude_same_patient=False,
            d_require_history=False,
        ),
        batch=BatchSettings(plan="random"),
        run=RunSettings(compile="off"),
    )


def default() -> Settings:
    """The paper's sizes with every repair on: linked batches, leave-one-out keys, both directions, sharp targets."""
    return Settings(
        batch=BatchSettings(validation_share=0.02),
        augmentation=Augmentation(shift=0.05, scale=0.05, rotate_degrees=5.0, brightness=0.1, contrast=0.2),
        optimiser=OptimiserSettings(
            lr=1e-4,
            tower_lr=2e-5,
            weight_decay=0.05,
            decay_norms=False,
            warmup_share=0.05,
            schedule="cosine",
            clip_norm=1.0,
            lr_rule="sqrt",
        ),
        run=RunSettings(validate_every=500, precision="bfloat16"),
    )


def demo() -> Settings:
    """The default recipe at a size that two CPU cores train in about a minute."""
    return Settings(
        model=ModelSettings(
            embed_dim=64,
            hidden_dim=32,
            head_dropout=0.1,
            image=ImageTower(timm_model_name="test_convnext", image_size=64),
            text=TextTower(
                vocab_size=0,
                width=64,
                num_layers=1,
                num_heads=4,
                mlp_width=128,
                dropout=0.0,
                pooler="mean_pooler",
                pad_to=16,
            ),
        ),
        batch=BatchSettings(size=32),
        augmentation=Augmentation(shift=0.03, brightness=0.05, contrast=0.1),
        optimiser=OptimiserSettings(
            steps=300,
            lr=3e-3,
            tower_lr=3e-3,
            weight_decay=0.05,
            decay_norms=False,
            warmup_share=0.1,
            schedule="cosine",
            clip_norm=1.0,
        ),
        run=RunSettings(compile="off", log_every=20, save_every=100),
    )


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
