"""From a picture to an image tower's input, as the published preprocessors do it, with Pillow's filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from medcsp_model.baselines.radiology.interface import NotAvailableError
from medcsp_model.baselines.radiology.weights import find_file, read_json

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class ImageRule:
    """How a picture becomes a square.

    Attributes:
        size: pixels per side.
        fit: `crop` resizes the shortest side and crops the centre, `pad` pads to a square first, `squash` resizes both.
        resample: Pillow's filter.
        mean, std: per RGB channel, of values in [0, 1].
        grey: turn the picture grey before anything else.
        fill: grey that pads, per RGB channel, 0 to 255.
        rounded: the crop's corner is rounded (torchvision) instead of cut (transformers); a pixel at most.
    """

    size: int
    fit: Literal["crop", "pad", "squash"] = "crop"
    resample: Image.Resampling = Image.Resampling.BICUBIC
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    grey: bool = False
    fill: tuple[int, int, int] = (0, 0, 0)
    rounded: bool = False


def read_rule(folder: str | Path) -> ImageRule:
    """Rule of a `preprocessor_config.json`, of CLIP's kind (shortest side and crop) or SigLIP's (both sides).

    Raises:
        NotAvailableError: no such file, or one of another kind.
    """
    path = find_file(folder, ["preprocessor_config.json"])
    values = read_json(path)
    try:
        size: Any = values["size"]
        crop = values.get("crop_size", size)
        mean, std = tuple(values["image_mean"]), tuple(values["image_std"])
        filter_ = Image.Resampling(values.get("resample", Image.Resampling.BICUBIC))
        if isinstance(size, dict) and "height" in size:
            return ImageRule(size=size["height"], fit="squash", resample=filter_, mean=mean, std=std)
        crop = crop.get("height", crop.get("shortest_edge")) if isinstance(crop, dict) else crop
        short = size["shortest_edge"] if isinstance(size, dict) else size
    except (KeyError, TypeError, ValueError) as error:
        raise NotAvailableError(f"{path}: not the preprocessor of a CLIP or SigLIP: {error}") from error
    if crop != short:
        raise NotAvailableError(f"{path}: resizes to {short} and crops {crop}; only equal sizes are known")
    return ImageRule(size=crop, resample=filter_, mean=mean, std=std)


def prepare(images: Sequence[Image.Image], rule: ImageRule) -> Tensor:
    """Pictures as normalised RGB, float32 (K, 3, size, size)."""
    mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (rule.mean, rule.std))
    planes = [
        (np.asarray(square(image, rule), dtype=np.float32).transpose(2, 0, 1) / 255 - mean) / std for image in images
    ]
    return torch.from_numpy(np.stack(planes))


def square(image: Image.Image, rule: ImageRule) -> Image.Image:
    """An RGB picture of the rule's size."""
    picture = (image.convert("L") if rule.grey else image).convert("RGB")
    if rule.fit == "pad":
        side = max(picture.size) if not rule.grey else max(*picture.size, rule.size)
        padded = Image.new("RGB", (side, side), rule.fill)
        padded.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        picture = padded
    if rule.fit != "crop":
        return picture.resize((rule.size, rule.size), rule.resample)
    short = min(picture.size)
    width, height = (rule.size if side == short else int(rule.size * side / short) for side in picture.size)
    picture = picture.resize((width, height), rule.resample)
    left, top = (
        (round(extra / 2) if rule.rounded else extra // 2) for extra in (width - rule.size, height - rule.size)
    )
    return picture.crop((left, top, left + rule.size, top + rule.size))
