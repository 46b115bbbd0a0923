"""F-LSTM: one LSTM over hourly features with the static vector beside each hour.

Source: FIDDLE (Tang et al., JAMIA 2020), the LSTM of its experiments. Deviations: AdamW and the common grid instead
of a random search over sizes; the sizes are the middle of the published ranges.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from medcsp_model.evaluation.prediction import Network
from medcsp_model.evaluation.task_data import InputSizes, TaskBatch


def tile(x_BTF: Tensor, static_BE: Tensor) -> Tensor:
    """Hourly features with the static vector beside each hour, (B, T, F + E)."""
    return torch.cat([x_BTF, static_BE[:, None].expand(-1, x_BTF.shape[1], -1)], dim=-1)


@dataclass(frozen=True, kw_only=True)
class FLstm(Network):
    """F-LSTM.

    Attributes:
        hidden_dim: width of the LSTM (published: 16 to 128).
        num_layers: of the LSTM (1 to 3).
        head_dim: width of the hidden layer above it.
        dropout: before the last layer.
    """

    name: str = "F-LSTM"
    reads: ClassVar[tuple[str, ...]] = ("series", "demographics")
    hidden_dim: int = 64
    num_layers: int = 1
    head_dim: int = 64
    dropout: float = 0.2

    def build(self, sizes: InputSizes) -> nn.Module:
        """The network at random weights."""
        return FLstmNetwork(sizes, self)


class FLstmNetwork(nn.Module):
    """[X_t ; s] to LSTM, its last hidden state to Linear, ReLU, Dropout, Linear."""

    def __init__(self, sizes: InputSizes, method: FLstm) -> None:
        super().__init__()
        width = sizes.series + sizes.demographics
        self.lstm = nn.LSTM(width, method.hidden_dim, num_layers=method.num_layers, batch_first=True)
        self.head = nn.Sequential(
            nn.Linear(method.hidden_dim, method.head_dim),
            nn.ReLU(),
            nn.Dropout(method.dropout),
            nn.Linear(method.head_dim, 1),
        )

    def forward(self, batch: TaskBatch) -> Tensor:
        """Logits (B,)."""
        _, (last_LBH, _) = self.lstm(tile(batch.series_BTF, batch.demographics_BE))
        logit_B: Tensor = self.head(last_LBH[-1])[:, 0]
        return logit_B
