"""From stored grey pixels to the image tower's input, on the device: resize by area, augment, normalise, to RGB."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from medcsp_model.encoders import full_precision
from medcsp_model.settings.training import Augmentation, ImageTower


def prepare_images(pixels: Tensor, *, settings: ImageTower, augmentation: Augmentation | None = None) -> Tensor:
    """Normalised RGB images for the tower.

    Args:
        pixels: uint8 (k, height, width), grey.
        settings: size and normalisation.
        augmentation: random changes, drawn from torch's global generator; none leaves the images as they are.

    Returns:
        float32 (k, 3, image_size, image_size).
    """
    x = pixels.float() / 255
    with full_precision(x.device):  # in bfloat16 the places that pixels are taken from are off by up to one
        if x.shape[-1] != settings.image_size:
            x = F.interpolate(x[:, None], size=(settings.image_size, settings.image_size), mode="area")[:, 0]
        if augmentation is not None:
            x = augment(x[:, None], augmentation=augmentation)[:, 0]
        channels = zip(settings.mean, settings.std, strict=True)
        return torch.stack([(x - mean) / std for mean, std in channels], dim=1)


def augment(x: Tensor, *, augmentation: Augmentation) -> Tensor:
    """Randomly move, turn, scale, brighten and roughen images, float (k, 1, height, width) in [0, 1]."""
    count = len(x)

    def draw(limit: float) -> Tensor:
        return (torch.rand(count, device=x.device) * 2 - 1) * limit

    if augmentation.shift or augmentation.scale or augmentation.rotate_degrees:
        angle = draw(math.radians(augmentation.rotate_degrees))
        size = 1 + draw(augmentation.scale)
        rows = [size * angle.cos(), -size * angle.sin(), 2 * draw(augmentation.shift)]
        columns = [size * angle.sin(), size * angle.cos(), 2 * draw(augmentation.shift)]
        affine = torch.stack([torch.stack(rows, dim=1), torch.stack(columns, dim=1)], dim=1)
        grid = F.affine_grid(affine, list(x.shape), align_corners=False)
        x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if augmentation.contrast:
        mean = x.mean(dim=(2, 3), keepdim=True)
        x = mean + (x - mean) * (1 + draw(augmentation.contrast))[:, None, None, None]
    if augmentation.brightness:
        x = x + draw(augmentation.brightness)[:, None, None, None]
    if augmentation.noise:
        x = x + torch.randn_like(x) * augmentation.noise
    return x
