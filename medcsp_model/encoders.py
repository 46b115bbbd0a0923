"""The small encoders: multi-hot codes, fixed vectors, hourly series; the towers are in `medcsp_model.towers`."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn


def widen(x: Tensor) -> Tensor:
    """Float32 of what autocast made narrower; float64 stays."""
    return x if x.dtype == torch.float64 else x.float()


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """No autocast inside: for what rounding would spoil."""
    known = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()


class VectorEncoder(nn.Sequential):
    """Codes or a fixed vector: Linear, ReLU, LayerNorm, Linear, LayerNorm; (k, size) to (k, embed_dim)."""

    def __init__(self, size: int, *, hidden_dim: int, embed_dim: int) -> None:
        super().__init__(
            nn.Linear(size, hidden_dim),
            nn.ReLU(),
            nn.LayerNorm(hidden_dim),
            nn.Linear(hidden_dim, embed_dim),
            nn.LayerNorm(embed_dim),
        )


class SeriesEncoder(nn.Module):
    """Hourly series of a record's stays: two LSTMs, ReLU and LayerNorm between; the mean over stays of the last state.

    Args:
        size: features of an hour.
        hidden_dim: width of the first LSTM.
        embed_dim: width of the second.
        state: its cell state (the paper's code) or hidden state.
        padded_stays: average over so many stays, absent ones as all zeros; 0 averages over the stays there are.
    """

    def __init__(
        self, size: int, *, hidden_dim: int, embed_dim: int, state: Literal["cell", "hidden"], padded_stays: int
    ) -> None:
        super().__init__()
        self.first = nn.LSTM(size, hidden_dim, batch_first=True)
        self.norm = nn.LayerNorm(hidden_dim)
        self.second = nn.LSTM(hidden_dim, embed_dim, batch_first=True)
        self.state, self.padded_stays = state, padded_stays

    def encode_stays(self, x_SLF: Tensor) -> Tensor:
        """(stays, bins, features) to (stays, embed_dim)."""
        with full_precision(x_SLF.device):  # autocast gives CUDA's LSTM float16, and a CPU without AVX-512 has none
            hidden_SLH, _ = self.first(x_SLF)
            _, (last_hidden, last_cell) = self.second(self.norm(hidden_SLH.relu()))
        chosen: Tensor = (last_cell if self.state == "cell" else last_hidden)[0]
        return widen(chosen)

    def forward(self, x_SLF: Tensor, record_S: Tensor, num_records: int) -> Tensor:
        """Mean over the stays of each record, (num_records, embed_dim).

        Args:
            x_SLF: readings of every stay.
            record_S: record of each stay, int64.
            num_records: records in the batch; each has at least one stay.
        """
        if self.padded_stays:  # one absent stay stands for all of them, behind those there are
            x_SLF = torch.cat([x_SLF, torch.zeros_like(x_SLF[:1])])
        e_SD, absent_SD = self.encode_stays(x_SLF).tensor_split([len(record_S)])
        total_ND = e_SD.new_zeros(num_records, e_SD.shape[1]).index_add(0, record_S, e_SD)
        count_N = e_SD.new_zeros(num_records).index_add(0, record_S, torch.ones_like(e_SD[:, 0]))
        if self.padded_stays:
            total_ND = total_ND + (self.padded_stays - count_N)[:, None] * absent_SD
            count_N = torch.full_like(count_N, self.padded_stays)
        return total_ND / count_N[:, None]
