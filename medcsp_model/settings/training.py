"""Settings of model, losses, batches and training, and the three recipes: `paper()`, `default()`, `demo()`.

Each repair over the paper is a switch of its own, so that an ablation can say what it brings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal, Self

from medcsp_model.settings.plain import read_settings, to_plain


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
        head: the shared head: ReLU + LayerNorm + Dropout (the paper), LayerNorm + Dropout, or nothing.
        head_dropout: dropout of the shared head, where there is one.
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
        memory_gb: most of a CUDA device's memory that `micro_batch` 0 counts on; 0 takes what is free.
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
    memory_gb: float = 0.0
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
        return to_plain(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Settings from plain values; what is absent keeps its default.

        Raises:
            ValueError: an unknown key, or a value of the wrong type; the message names it by its path.
        """
        settings = read_settings(cls, values)
        _check(settings)
        return settings

    def replace(self, **changes: Mapping[str, Any]) -> Self:
        """A copy with some fields changed, checked: `replace(loss={"lambda_d": 0.0}, model={"text": {"width": 64}})`.

        Raises:
            ValueError: as in `from_json`.
        """
        plain = self.to_json()
        for group, fields in changes.items():
            if group not in plain:
                raise ValueError(f"settings: unknown key {group!r}; known: {', '.join(sorted(plain))}")
            plain[group] = _merged(plain[group], fields)
        return type(self).from_json(plain)


_ABOVE_0 = (
    "model.embed_dim",
    "model.hidden_dim",
    "model.image.image_size",
    "model.text.context_length",
    "model.text.width",
    "model.text.num_layers",
    "model.text.num_heads",
    "model.text.mlp_width",
    "model.text.pad_to",
    "loss.tau",
    "loss.tau_d",
    "loss.tile",
    "batch.size",
    "batch.max_draws",
    "optimiser.reference_batch",
    "run.log_every",
    "run.save_every",
    "run.timeout_seconds",
)
_FROM_0 = (
    "model.text.vocab_size",
    "loss.lambda_a",
    "loss.lambda_p",
    "loss.lambda_d",
    "augmentation.rotate_degrees",
    "augmentation.brightness",
    "augmentation.contrast",
    "augmentation.noise",
    "optimiser.steps",
    "optimiser.epochs",
    "optimiser.lr",
    "optimiser.tower_lr",
    "optimiser.weight_decay",
    "optimiser.clip_norm",
    "run.seed",
    "run.micro_batch",
    "run.memory_gb",
    "run.num_threads",
    "run.validate_every",
)
_SHARES = ("batch.share", "optimiser.warmup_share", "augmentation.shift")
_BELOW_1 = ("model.head_dropout", "model.text.dropout", "augmentation.scale", "batch.validation_share")


def _check(settings: Settings) -> None:
    ranges = (
        (_ABOVE_0, "be above 0", lambda value: value > 0),
        (_FROM_0, "be 0 or more", lambda value: value >= 0),
        (_SHARES, "lie in [0, 1]", lambda value: 0 <= value <= 1),
        (_BELOW_1, "lie in [0, 1)", lambda value: 0 <= value < 1),
        (("run.seed",), "be below 2^63", lambda value: value < 2**63),
        (("optimiser.betas",), "both lie in [0, 1)", lambda values: all(0 <= value < 1 for value in values)),
        (("model.image.std",), "all be above 0", lambda values: all(value > 0 for value in values)),
    )
    for names, rule, holds in ranges:
        for name in names:
            value = attrgetter(name)(settings)
            if not holds(value):
                raise ValueError(f"settings.{name}: must {rule}, got {value}")
    text = settings.model.text
    if text.width % text.num_heads:
        raise ValueError(f"settings.model.text.width: {text.width} is no multiple of num_heads, {text.num_heads}")
    if not settings.optimiser.steps and not settings.optimiser.epochs:
        raise ValueError("settings.optimiser: set steps or epochs above 0")


def _merged(plain: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Groups within groups keep what the changes do not name."""
    return dict(plain) | {
        key: _merged(plain[key], value) if isinstance(value, Mapping) and isinstance(plain.get(key), Mapping) else value
        for key, value in changes.items()
    }


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
    """The paper's sizes with every repair on: linked batches, leave-one-out keys, both ways, sharp targets, no head."""
    return Settings(
        model=ModelSettings(head="none"),
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
            head="none",
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
