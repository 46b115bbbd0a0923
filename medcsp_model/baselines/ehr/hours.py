"""The four encoders of hourly series of the gated fusion: LSTM, CNN, Transformer and Star-Transformer.

Source: Yang & Wu (EMNLP 2021). Their Transformer knows no positions; sines and cosines are added here, and
`positions=False` of the method leaves them out.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from medcsp_model.baselines.ehr.f_cnn import convolutions
from medcsp_model.baselines.ehr.star import StarTransformer
from medcsp_model.evaluation.task_data import InputSizes

Kind = Literal["lstm", "cnn", "encoder", "star"]


class LstmHours(nn.Module):
    """LSTM, its last hidden state to Linear and ReLU."""

    def __init__(self, size: int, *, hidden_dim: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(size, hidden_dim, batch_first=True)
        self.linear = nn.Linear(hidden_dim, width)

    def forward(self, x_BTF: Tensor) -> Tensor:
        """(B, width)."""
        _, (last_1BH, _) = self.lstm(x_BTF)
        out_BD: Tensor = self.linear(last_1BH[0]).relu()
        return out_BD


class CnnHours(nn.Module):
    """One convolution of three hours with ReLU and pooling by 2, then Linear and ReLU."""

    def __init__(self, size: int, bins: int, *, num_filters: int, width: int) -> None:
        super().__init__()
        self.convolutions, flat = convolutions(size, bins, num_filters=num_filters, depth=1, kernel=3)
        self.linear = nn.Linear(flat, width)

    def forward(self, x_BTF: Tensor) -> Tensor:
        """(B, width)."""
        out_BD: Tensor = self.linear(self.convolutions(x_BTF.transpose(1, 2))).relu()
        return out_BD


class EncoderHours(nn.Module):
    """Linear, Transformer encoder, its first hour to Linear."""

    def __init__(
        self,
        size: int,
        bins: int,
        *,
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
        positions: bool,
        width: int,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(size, hidden_dim)
        layer = nn.TransformerEncoderLayer(hidden_dim, num_heads, 4 * hidden_dim, dropout, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
        self.linear = nn.Linear(hidden_dim, width)
        self.register_buffer("position_TH", waves(bins, hidden_dim) * float(positions), persistent=False)

    def forward(self, x_BTF: Tensor) -> Tensor:
        """(B, width)."""
        hour_BTH = self.layers(self.embed(x_BTF) + self.position_TH)
        out_BD: Tensor = self.linear(hour_BTH[:, 0])
        return out_BD


class StarHours(nn.Module):
    """Linear and ReLU, Star-Transformer, Linear."""

    def __init__(
        self,
        size: int,
        *,
        hidden_dim: int,
        num_heads: int,
        num_cycles: int,
        dropout: float,
        shift_in_place: bool,
        width: int,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(size, hidden_dim)
        self.star = StarTransformer(
            hidden_dim, num_heads=num_heads, num_cycles=num_cycles, dropout=dropout, shift_in_place=shift_in_place
        )
        self.linear = nn.Linear(hidden_dim, width)

    def forward(self, x_BTF: Tensor) -> Tensor:
        """(B, width)."""
        out_BD: Tensor = self.linear(self.star(self.embed(x_BTF).relu()))
        return out_BD


def waves(length: int, width: int) -> Tensor:
    """Sines and cosines of positions (Vaswani et al. 2017), float32 (length, width)."""
    position_L1 = torch.arange(length, dtype=torch.float32)[:, None]
    rate_H = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    both = torch.stack([(position_L1 * rate_H).sin(), (position_L1 * rate_H).cos()], dim=-1)
    return both.flatten(1)[:, :width]


def build_hours(
    kind: Kind,
    sizes: InputSizes,
    *,
    hidden_dim: int,
    width: int,
    num_filters: int,
    num_layers: int,
    num_heads: int,
    num_cycles: int,
    dropout: float,
    positions: bool,
    shift_in_place: bool,
) -> nn.Module:
    """One of the four encoders; what it has no use for is left."""
    if kind == "lstm":
        return LstmHours(sizes.series, hidden_dim=hidden_dim, width=width)
    if kind == "cnn":
        return CnnHours(sizes.series, sizes.bins, num_filters=num_filters, width=width)
    if kind == "encoder":
        return EncoderHours(
            sizes.series,
            sizes.bins,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            dropout=dropout,
            positions=positions,
            width=width,
        )
    return StarHours(
        sizes.series,
        hidden_dim=hidden_dim,
        num_heads=num_heads,
        num_cycles=num_cycles,
        dropout=dropout,
        shift_in_place=shift_in_place,
        width=width,
    )
