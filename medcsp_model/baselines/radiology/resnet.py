"""torchvision's ResNet with bottlenecks, its depth and width read from published tensors."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torchvision.models.resnet import Bottleneck, ResNet

from medcsp_model.baselines.radiology.interface import NotAvailableError

STAGES = (1, 2, 3, 4)


def build_resnet(tensors: Mapping[str, Tensor], *, path: Path) -> ResNet:
    """A ResNet at random weights with as many blocks a stage and as wide bottlenecks as the tensors have.

    Args:
        tensors: under torchvision's names.
        path: their file, for the message.

    Raises:
        NotAvailableError: a stage is missing.
    """
    depths = [len({name.split(".")[1] for name in tensors if name.startswith(f"layer{stage}.")}) for stage in STAGES]
    inner = tensors.get("layer1.0.conv2.weight")
    if not all(depths) or inner is None:
        raise NotAvailableError(f"{path}: not this model's weights: its ResNet has stages of {depths} blocks")
    return ResNet(Bottleneck, depths, width_per_group=inner.shape[0])
