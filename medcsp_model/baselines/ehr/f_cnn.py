"""F-CNN: convolutions over the hours of features with the static vector beside each hour.

Source: FIDDLE (Tang et al., JAMIA 2020), the CNN of its experiments. Deviations: AdamW and the common grid instead of a
random search over sizes; the sizes are the middle of the published ranges.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from medcsp_model.baselines.ehr.f_lstm import tile
from medcsp_model.evaluation.prediction import Network
from medcsp_model.evaluation.task_data import InputSizes, TaskBatch


@dataclass(frozen=True, kw_only=True)
class FCnn(Network):
    """F-CNN.

    Attributes:
        num_filters: of each convolution (published: 16 to 128).
        depth: number of convolutions (1 or 2), each followed by a pooling by 2.
        kernel: hours of a convolution (1 to 4), padded by its half.
        head_dim: width of the hidden layer above.
        dropout: before the last layer.
    """

    name: str = "F-CNN"
    reads: ClassVar[tuple[str, ...]] = ("series", "demographics")
    num_filters: int = 64
    depth: int = 2
    kernel: int = 3
    head_dim: int = 64
    dropout: float = 0.2

    def build(self, sizes: InputSizes) -> nn.Module:
        """The network at random weights."""
        return FCnnNetwork(sizes, self)


def convolutions(width: int, bins: int, *, num_filters: int, depth: int, kernel: int) -> tuple[nn.Sequential, int]:
    """Convolutions over (B, width, bins), each with ReLU and a pooling by 2, and the numbers that come out of them."""
    layers: list[nn.Module] = []
    for number in range(depth):
        layers += [
            nn.Conv1d(width if number == 0 else num_filters, num_filters, kernel, padding=kernel // 2),
            nn.ReLU(),
            nn.MaxPool1d(2),
        ]
        bins = (bins + 2 * (kernel // 2) - kernel + 1) // 2
    return nn.Sequential(*layers, nn.Flatten()), bins * num_filters


class FCnnNetwork(nn.Module):
    """[X ; s] over hours to convolutions, then Linear, ReLU, Dropout, Linear."""

    def __init__(self, sizes: InputSizes, method: FCnn) -> None:
        super().__init__()
        self.convolutions, width = convolutions(
            sizes.series + sizes.demographics,
            sizes.bins,
            num_filters=method.num_filters,
            depth=method.depth,
            kernel=method.kernel,
        )
        self.head = nn.Sequential(
            nn.Linear(width, method.head_dim), nn.ReLU(), nn.Dropout(method.dropout), nn.Linear(method.head_dim, 1)
        )

    def forward(self, batch: TaskBatch) -> Tensor:
        """Logits (B,)."""
        x_BFT = tile(batch.series_BTF, batch.demographics_BE).transpose(1, 2)
        logit_B: Tensor = self.head(self.convolutions(x_BFT))[:, 0]
        return logit_B
