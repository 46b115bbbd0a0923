"""RAIM: recurrent attention over the hours seen so far, guided by when something was measured.

Source: Xu et al. (KDD 2018), in the reduced form that MedHMP (EMNLP 2023) and through it the paper compare with: the
features in two halves, each through Linear and ReLU, their sum read by a recurrent cell through attention.
Deviations: hours that are not seen yet get no attention (the reduced form fills them with zeros, which take their
share of it); guidance is whether the second half, taken for the sparse signals, was measured in the hour, and adds a
learned amount to the attention.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from medcsp_model.evaluation.prediction import Network
from medcsp_model.evaluation.task_data import InputSizes, TaskBatch


@dataclass(frozen=True, kw_only=True)
class Raim(Network):
    """RAIM.

    Attributes:
        width: of hours, of the cell and of the static vector.
        dropout: before the last layer.
    """

    name: str = "RAIM"
    reads: ClassVar[tuple[str, ...]] = ("series", "demographics")
    width: int = 256
    dropout: float = 0.1

    def build(self, sizes: InputSizes) -> nn.Module:
        """The network at random weights."""
        return RaimNetwork(sizes, self)


class RaimNetwork(nn.Module):
    """For each hour: attention over those up to it, asked by the state, into a GRU cell; head on state + static."""

    def __init__(self, sizes: InputSizes, method: Raim) -> None:
        super().__init__()
        width, self.num_dense = method.width, sizes.series // 2
        self.first = nn.Linear(self.num_dense, width)
        self.second = nn.Linear(sizes.series - self.num_dense, width)
        self.static = nn.Linear(sizes.demographics, width)
        self.of_hour = nn.Linear(width, 1)
        self.of_state = nn.Linear(width, sizes.bins)
        self.of_guidance = nn.Parameter(torch.zeros(1))
        self.cell = nn.GRUCell(width, width)
        self.head = nn.Sequential(nn.Dropout(method.dropout), nn.Linear(width, 1))

    def forward(self, batch: TaskBatch) -> Tensor:
        """Logits (B,)."""
        dense_BTF, sparse_BTF = batch.series_BTF[..., : self.num_dense], batch.series_BTF[..., self.num_dense :]
        x_BTD = self.first(dense_BTF).relu() + self.second(sparse_BTF).relu()
        measured_BT = (sparse_BTF != 0).any(dim=-1).to(x_BTD.dtype)
        score_BT = self.of_hour(x_BTD)[..., 0] + self.of_guidance * measured_BT
        state_BD = torch.zeros_like(x_BTD[:, 0])
        for hour in range(x_BTD.shape[1]):
            seen = slice(0, hour + 1)
            share_BT = (score_BT[:, seen] + self.of_state(state_BD)[:, seen]).softmax(dim=1)
            state_BD = self.cell((share_BT[:, None] @ x_BTD[:, seen])[:, 0], state_BD)
        logit_B: Tensor = self.head(state_BD + self.static(batch.demographics_BE))[:, 0]
        return logit_B
