"""The network of MedHMP: stays, and above them admissions; how it is trained is none of its business."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from medcsp_model.baselines.ehr.text import TextEncoder, TextSettings
from medcsp_model.evaluation.task_data import InputSizes, TaskBatch


class StayEncoder(nn.Module):
    """Series and demographics of a stay to one vector: LSTMs and an MLP, attention between the two, their maximum."""

    def __init__(self, sizes: InputSizes, *, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.LSTM(sizes.series, width, batch_first=True)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(width)
        self.second = nn.LSTM(width, width, num_layers=2, batch_first=True)
        self.table = nn.Sequential(nn.Linear(sizes.demographics, 64), nn.ReLU(), nn.Linear(64, width))
        self.attention = nn.MultiheadAttention(width, num_heads, batch_first=True)
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
    """Stay encoder, and above it, where the task has codes or a text, encoders of the whole admission.

    Args:
        sizes: of the inputs.
        width: of every embedding.
        num_heads: of the attention between series and demographics.
        dropout: inside the stay encoder and before the last layer.
        text: the text encoder.
    """

    def __init__(self, sizes: InputSizes, *, width: int, num_heads: int, dropout: float, text: TextSettings) -> None:
        super().__init__()
        self.width, self.num_slots = width, sizes.stays
        self.stay = StayEncoder(sizes, width=width, num_heads=num_heads, dropout=dropout)
        self.codes = nn.ModuleDict(
            {name: code_encoder(size, width) for name in ("diagnosis", "drug") if (size := getattr(sizes, name))}
        )
        self.text = TextEncoder(sizes, text, pooling="mean") if sizes.vocabulary else None
        self.note = nn.Linear(self.text.width, width) if self.text else None
        self.is_of_admission = bool(self.codes) or self.text is not None
        self.merge = nn.Linear(self.num_slots * width, width) if self.is_of_admission else None
        num_parts = 1 + len(self.codes) + (self.text is not None)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(num_parts * width, 1))

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
