"""MedHMP: pre-training of stays, then of admissions. This is the network; see also `medhmp_pretraining`.

Source: Wang et al. (EMNLP 2023). A task of series and demographics is predicted from the example's own stay; one with
diagnoses, drugs or a note from the admission: its stays, codes and text. Deviations: a stay that does not exist is
zeros; masking 15 % of the codes removes exactly those (theirs also sets the mask slot wrongly); the encoded parts of
an admission are put side by side below the last layer, which the paper leaves open; AdamW and the common grid instead
of SGD for the fine-tuning. Their validation loss has its arguments swapped, so that training stops on a wrong number:
`swapped_validation_loss` restores that (it shows where validation goes by the loss).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medcsp_model.baselines.ehr.text import TextEncoder, TextSettings, check_text, text_identity
from medcsp_model.corpus import Corpus
from medcsp_model.evaluation.prediction import Network
from medcsp_model.evaluation.task_data import InputSizes, Part, RecordInputs, TaskBatch, TaskData
from medcsp_model.settings import SweepSettings


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the pre-training: Adam, so many epochs."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 1e-8


@dataclass(frozen=True, kw_only=True)
class MedHmp(Network):
    """MedHMP.

    Attributes:
        width: of every embedding.
        num_heads: of the attention between series and demographics.
        dropout: inside the stay encoder and before the last layer.
        text: the text encoder, frozen as published (Clinical-T5).
        is_pretrained: run both stages first.
        corpus: pre-training corpus of the two stages; empty takes the training records of the task.
        corpus_split: its split.
        stays, admissions: both stages. The published batch of admissions is 4096.
        mask_share: share of the codes that stage two hides.
        contrast_weight: of the contrastive loss of stage two.
        temperature: of the same.
        swapped_validation_loss: judge an epoch by the loss as released.
    """

    name: str = "MedHMP"
    reads: ClassVar[tuple[str, ...]] = ("series", "stays", "demographics", "diagnosis", "drug", "note")
    width: int = 256
    num_heads: int = 4
    dropout: float = 0.1
    text: TextSettings = field(default_factory=lambda: TextSettings(frozen=True))
    is_pretrained: bool = True
    corpus: str = ""
    corpus_split: str = "pretrain"
    stays: Stage = field(default_factory=lambda: Stage(epochs=200, batch_size=128, learning_rate=5e-4))
    admissions: Stage = field(default_factory=lambda: Stage(epochs=300, batch_size=4096, learning_rate=2e-5))
    mask_share: float = 0.15
    contrast_weight: float = 0.1
    temperature: float = 0.1
    swapped_validation_loss: bool = False

    def to_json(self) -> dict[str, Any]:
        """Settings, with the contents of corpus and text encoder in place of their paths."""
        corpus = Corpus.open(self.corpus).fingerprint if self.corpus else ""
        return super().to_json() | {"corpus": corpus, "text": text_identity(self.text)}

    def check(self, inputs: RecordInputs) -> None:
        """Refuse a task without what it needs, and a text encoder that does not fit it."""
        super().check(inputs)
        check_text(inputs.sizes, self.text)

    def build(self, sizes: InputSizes) -> "MedHmpNetwork":
        """The network at random weights."""
        return MedHmpNetwork(sizes, self)

    def pretrain(self, data: TaskData, part: Part, *, settings: SweepSettings) -> dict[str, Tensor]:
        """Both stages; weights of everything but the last layer and a text encoder that comes from a folder."""
        from medcsp_model.baselines.ehr.medhmp_pretraining import pretrain

        return pretrain(self, data, part, seed=settings.seeds[0]) if self.is_pretrained else {}

    def pretrained_on(self, data: TaskData, part: Part) -> str:
        """The corpus and what of it the task has, or the training records."""
        if not self.corpus:
            return super().pretrained_on(data, part)
        return f"{Corpus.open(self.corpus).fingerprint} {data.sizes} {data.inputs.inputs}"

    def validation_loss(self, logit_N: Tensor, label_N: Tensor) -> Tensor:
        """Cross-entropy, or with risk and outcome swapped."""
        if self.swapped_validation_loss:
            return F.binary_cross_entropy(label_N, logit_N.sigmoid())
        return super().validation_loss(logit_N, label_N)


class StayEncoder(nn.Module):
    """Series and demographics of a stay to one vector: LSTMs and an MLP, attention between the two, their maximum."""

    def __init__(self, sizes: InputSizes, method: MedHmp) -> None:
        super().__init__()
        width = method.width
        self.first = nn.LSTM(sizes.series, width, batch_first=True)
        self.dropout, self.norm = nn.Dropout(method.dropout), nn.LayerNorm(width)
        self.second = nn.LSTM(width, width, num_layers=2, batch_first=True)
        self.table = nn.Sequential(nn.Linear(sizes.demographics, 64), nn.ReLU(), nn.Linear(64, width))
        self.attention = nn.MultiheadAttention(width, method.num_heads, batch_first=True)
        self.widen = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        self.attention_norm, self.widen_norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x_STF: Tensor, table_SE: Tensor) -> Tensor:
        """(S, width)."""
        _, (_, cell_2SD) = self.second(self.norm(self.dropout(self.first(x_STF)[0])))
        both_S2D = torch.stack([cell_2SD[-1], self.table(table_SE)], dim=1)
        both_S2D = self.attention_norm(both_S2D + self.attention(both_S2D, both_S2D, both_S2D, need_weights=False)[0])
        both_S2D = self.widen_norm(both_S2D + self.widen(both_S2D))
        return both_S2D.amax(dim=1)


def code_encoder(size: int, width: int) -> nn.Sequential:
    """Multi-hot codes to (B, width): Linear, LayerNorm, ReLU, twice."""
    layers = [nn.Linear(size, width), nn.LayerNorm(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU())


class MedHmpNetwork(nn.Module):
    """Stay encoder, and above it, where the task has codes or a text, encoders of the whole admission."""

    def __init__(self, sizes: InputSizes, method: MedHmp) -> None:
        super().__init__()
        width, self.num_slots = method.width, sizes.stays
        self.stay = StayEncoder(sizes, method)
        self.codes = nn.ModuleDict(
            {name: code_encoder(size, width) for name in ("diagnosis", "drug") if (size := getattr(sizes, name))}
        )
        self.text = TextEncoder(sizes, method.text, pooling="mean") if sizes.vocabulary else None
        self.note = nn.Linear(self.text.width, width) if self.text else None
        self.is_of_admission = bool(self.codes) or self.text is not None
        self.merge = nn.Linear(self.num_slots * width, width) if self.is_of_admission else None
        num_parts = 1 + len(self.codes) + (self.text is not None)
        self.head = nn.Sequential(nn.Dropout(method.dropout), nn.Linear(num_parts * width, 1))

    def encode_stays(self, batch: TaskBatch) -> Tensor:
        """Every stay of the batch, (S, width)."""
        encoded_SD: Tensor = self.stay(batch.stays_STF, batch.demographics_BE[batch.stay_record_S])
        return encoded_SD

    def encode_parts(self, batch: TaskBatch, codes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Parts of each admission by name, (B, width) each; codes are given apart, as some may be hidden."""
        assert self.merge is not None
        encoded_SD = self.encode_stays(batch)
        slots_BKD = encoded_SD.new_zeros(len(batch), self.num_slots, encoded_SD.shape[1])
        slots_BKD = slots_BKD.index_put((batch.stay_record_S, batch.stay_slot_S), encoded_SD)
        parts = {"icu": self.merge(slots_BKD.flatten(1))}
        parts |= {name: encoder(codes[name]) for name, encoder in self.codes.items()}
        if self.text is not None and self.note is not None:
            parts["note"] = self.note(self.text(batch.note_BL))
        return parts

    def forward(self, batch: TaskBatch) -> Tensor:
        """Logits (B,)."""
        if self.is_of_admission:
            codes = {"diagnosis": batch.diagnosis_BC, "drug": batch.drug_BG}
            whole_BD = torch.cat(list(self.encode_parts(batch, codes).values()), dim=1)
        else:
            whole_BD = self.stay(batch.series_BTF, batch.demographics_BE)
        logit_B: Tensor = self.head(whole_BD)[:, 0]
        return logit_B
