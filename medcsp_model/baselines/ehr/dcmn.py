"""DCMN: two memories that are read by queries from each other, with gates.

Source: Feng et al. (ECML-PKDD 2019), with the front end of the form that MedHMP (EMNLP 2023) and through it the paper
compare with: the features in two halves, each hour through a convolution over its features, Linear and BatchNorm; four
LSTMs make what is asked and what is answered of both memories. Deviations: a logit instead of a softmax over two
classes; AdamW and the common grid instead of SGD. Hops are those of the original, one is that of the reduced form.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from medcsp_model.evaluation.prediction import Network
from medcsp_model.evaluation.task_data import InputSizes, TaskBatch


@dataclass(frozen=True, kw_only=True)
class Dcmn(Network):
    """DCMN.

    Attributes:
        width: of memories and queries.
        num_hops: how often both memories are read (published: 1 to 9, the reduced form: 1).
        kernel, stride: of the convolution over the features of an hour.
        dropout: before the last layer.
    """

    name: str = "DCMN"
    reads: ClassVar[tuple[str, ...]] = ("series", "demographics")
    width: int = 256
    num_hops: int = 1
    kernel: int = 10
    stride: int = 5
    dropout: float = 0.3

    def build(self, sizes: InputSizes) -> nn.Module:
        """The network at random weights."""
        return DcmnNetwork(sizes, self)


class HourEncoder(nn.Module):
    """A convolution over the features of each hour, ReLU, Linear, BatchNorm; (B, T, F) to (B, T, width).

    Fewer features than the kernel is wide are padded with zeros.
    """

    def __init__(self, num_features: int, method: Dcmn) -> None:
        super().__init__()
        self.missing = max(0, method.kernel - num_features)
        self.convolution = nn.Conv1d(1, 1, method.kernel, stride=method.stride)
        windows = (num_features + self.missing - method.kernel) // method.stride + 1
        self.linear = nn.Linear(windows, method.width)
        self.norm = nn.BatchNorm1d(method.width)

    def forward(self, x_BTF: Tensor) -> Tensor:
        """Hours (B, T, width)."""
        rows = F.pad(x_BTF, (0, self.missing)).flatten(0, 1)[:, None]
        hour_RD = self.norm(self.linear(self.convolution(rows)[:, 0].relu()))
        return hour_RD.view(*x_BTF.shape[:2], -1)


class Memory(nn.Module):
    """What an LSTM says of each hour when asked, and another when answered; its last output asks the other memory."""

    def __init__(self, num_features: int, method: Dcmn) -> None:
        super().__init__()
        self.hours = HourEncoder(num_features, method)
        self.keys = nn.LSTM(method.width, method.width, batch_first=True)
        self.values = nn.LSTM(method.width, method.width, batch_first=True)
        self.gate = nn.Linear(method.width, method.width)

    def forward(self, x_BTF: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, (B, T, width) each."""
        hour_BTD = self.hours(x_BTF)
        return self.keys(hour_BTD)[0], self.values(hour_BTD)[0]

    def read(self, query_BD: Tensor, key_BTD: Tensor, value_BTD: Tensor) -> Tensor:
        """Answer to a query, gated with the query itself."""
        share_BT = (key_BTD @ query_BD[..., None])[..., 0].softmax(dim=1)
        answer_BD = (share_BT[:, None] @ value_BTD)[:, 0]
        gate_BD = self.gate(query_BD).sigmoid()
        return gate_BD * answer_BD + (1 - gate_BD) * query_BD


class DcmnNetwork(nn.Module):
    """Two memories, read hop by hop by each other's query; both answers and the static vector to a Linear."""

    def __init__(self, sizes: InputSizes, method: Dcmn) -> None:
        super().__init__()
        self.num_left, self.num_hops = sizes.series // 2, method.num_hops
        self.left = Memory(self.num_left, method)
        self.right = Memory(sizes.series - self.num_left, method)
        self.static = nn.Linear(sizes.demographics, method.width)
        self.head = nn.Sequential(nn.Dropout(method.dropout), nn.Linear(method.width, 1))

    def forward(self, batch: TaskBatch) -> Tensor:
        """Logits (B,)."""
        left, right = (
            self.left(batch.series_BTF[..., : self.num_left]),
            self.right(batch.series_BTF[..., self.num_left :]),
        )
        from_left_BD, from_right_BD = left[1][:, -1], right[1][:, -1]
        for _ in range(self.num_hops):
            in_left_BD = self.left.read(from_right_BD, *left)
            in_right_BD = self.right.read(from_left_BD, *right)
            from_left_BD, from_right_BD = in_left_BD, in_right_BD
        logit_B: Tensor = self.head(from_left_BD + from_right_BD + self.static(batch.demographics_BE))[:, 0]
        return logit_B
