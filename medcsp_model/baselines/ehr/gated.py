"""The eight readmission baselines: a text and a series encoder, one of them the main modality of a gated fusion.

BertLstm, BertCnn, BertEncoder and BertStar have the text as main modality, LstmBert, CnnBert, EncoderBert and StarBert
the series. Source: Yang & Wu (EMNLP 2021), with diagnoses and drugs in the gate as the paper's comparison has them.

Deviations: norms in the gate are each patient's own (theirs are over the whole batch, so that a prediction depends on
who else is in it: `norms_over_batch`); the gate's strength starts at 1 (theirs at a random number of either sign:
`random_strength`); neighbours and positions as in `star` and `hours`; AdamW at a constant rate and the common grid
instead of a warm-up over a fixed number of steps; a patient without a note has an empty one instead of being dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from medcsp_model.baselines.ehr.hours import Kind, build_hours
from medcsp_model.baselines.ehr.text import TextEncoder, TextSettings, check_text, text_identity
from medcsp_model.evaluation.prediction import Network
from medcsp_model.evaluation.task_data import InputSizes, RecordInputs, TaskBatch


@dataclass(frozen=True, kw_only=True)
class Gated(Network):
    """One of the eight.

    Attributes:
        series: encoder of the series.
        main: modality that the others adjust.
        text: the text encoder.
        hidden_dim: width inside the series encoders.
        width: of the encoded series.
        static_dim, code_dim: widths of the encoded demographics, and of diagnoses and drugs each.
        num_filters: of the CNN.
        num_layers: of the Transformer.
        num_heads: of the Transformer and the Star-Transformer.
        num_cycles: of the Star-Transformer.
        dropout: of attention and after the fusion.
        norms_over_batch: norms of the gate over all patients of the batch, as released.
        random_strength: start the gate's strength at a random number, as released.
        shift_in_place: every hour's left neighbour is the first hour, as released.
        positions: tell the Transformer the hour; released without.
    """

    reads: ClassVar[tuple[str, ...]] = ("series", "demographics", "diagnosis", "drug", "note")
    needs: ClassVar[tuple[str, ...]] = ("series", "demographics", "note")
    series: Kind
    main: Literal["text", "series"]
    text: TextSettings = field(default_factory=TextSettings)
    hidden_dim: int = 1024
    width: int = 512
    static_dim: int = 64
    code_dim: int = 256
    num_filters: int = 128
    num_layers: int = 6
    num_heads: int = 16
    num_cycles: int = 6
    dropout: float = 0.1
    norms_over_batch: bool = False
    random_strength: bool = False
    shift_in_place: bool = False
    positions: bool = True

    def to_json(self) -> dict[str, Any]:
        """Settings, with the content of a text encoder's folder in place of its path."""
        return super().to_json() | {"text": text_identity(self.text)}

    def check(self, inputs: RecordInputs) -> None:
        """Refuse a task without what it needs, and a text encoder that does not fit it."""
        super().check(inputs)
        check_text(inputs.sizes, self.text)

    def build(self, sizes: InputSizes) -> nn.Module:
        """The network at random weights."""
        return GatedNetwork(sizes, self)


class Gate(nn.Module):
    """Multimodal adaptation gate: main + alpha * adjustment, the adjustment made of what the others say.

    Each other modality is weighed by a sigmoid of it and the main one; alpha is
    min(|main| / |adjustment| * strength, 1).

    Args:
        main: width of the main modality.
        others: widths of the others.
        dropout: after LayerNorm.
        norms_over_batch: take both norms over all patients of the batch.
        random_strength: start the strength at a random number instead of 1.
    """

    def __init__(
        self, main: int, others: Sequence[int], *, dropout: float, norms_over_batch: bool, random_strength: bool
    ) -> None:
        super().__init__()
        self.weighs = nn.ModuleList(nn.Linear(main + width, 1) for width in others)
        self.adjust = nn.Linear(sum(others), main)
        self.strength = nn.Parameter(torch.randn(1) if random_strength else torch.ones(1))
        self.norm, self.dropout = nn.LayerNorm(main), nn.Dropout(dropout)
        self.norms_over_batch = norms_over_batch

    def forward(self, main_BD: Tensor, others: Sequence[Tensor]) -> Tensor:
        """(B, main)."""
        weighed = [
            weigh(torch.cat([main_BD, other], dim=1)).sigmoid() * other
            for weigh, other in zip(self.weighs, others, strict=True)
        ]
        adjustment_BD = self.adjust(torch.cat(weighed, dim=1))
        ratio = self._size(main_BD) / self._size(adjustment_BD).clamp(min=1e-6)
        alpha = (ratio * self.strength).clamp(max=1.0)
        fused_BD: Tensor = self.dropout(self.norm(main_BD + alpha * adjustment_BD))
        return fused_BD

    def _size(self, x_BD: Tensor) -> Tensor:
        return x_BD.norm() if self.norms_over_batch else x_BD.norm(dim=1, keepdim=True)


class GatedNetwork(nn.Module):
    """Encoders of text, series, static vector and codes; gate; Linear. What a task does not have is left out."""

    def __init__(self, sizes: InputSizes, method: Gated) -> None:
        super().__init__()
        self.text = TextEncoder(sizes, method.text, pooling="first")
        self.hours = build_hours(
            method.series,
            sizes,
            hidden_dim=method.hidden_dim,
            width=method.width,
            num_filters=method.num_filters,
            num_layers=method.num_layers,
            num_heads=method.num_heads,
            num_cycles=method.num_cycles,
            dropout=method.dropout,
            positions=method.positions,
            shift_in_place=method.shift_in_place,
        )
        self.static = nn.Linear(sizes.demographics, method.static_dim)
        self.diagnosis = nn.Linear(sizes.diagnosis, method.code_dim) if sizes.diagnosis else None
        self.drug = nn.Linear(sizes.drug, method.code_dim) if sizes.drug else None
        self.is_text_main = method.main == "text"
        main, other = (self.text.width, method.width) if self.is_text_main else (method.width, self.text.width)
        codes = [method.code_dim for encoder in (self.diagnosis, self.drug) if encoder is not None]
        self.gate = Gate(
            main,
            [method.static_dim, other, *codes],
            dropout=method.dropout,
            norms_over_batch=method.norms_over_batch,
            random_strength=method.random_strength,
        )
        self.head = nn.Linear(main, 1)

    def forward(self, batch: TaskBatch) -> Tensor:
        """Logits (B,)."""
        text_BD, hours_BD = self.text(batch.note_BL), self.hours(batch.series_BTF)
        main_BD, other_BD = (text_BD, hours_BD) if self.is_text_main else (hours_BD, text_BD)
        others = [self.static(batch.demographics_BE), other_BD]
        if self.diagnosis is not None:
            others.append(self.diagnosis(batch.diagnosis_BC))
        if self.drug is not None:
            others.append(self.drug(batch.drug_BG))
        logit_B: Tensor = self.head(self.gate(main_BD, others))[:, 0]
        return logit_B
