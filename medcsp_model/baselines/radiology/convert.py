"""Convert published checkpoints once to safetensors.

    python -m medcsp_model.baselines.radiology.convert cxr_clip CHECKPOINT.tar FOLDER
    python -m medcsp_model.baselines.radiology.convert llava_med DELTA FOLDER --base LLAMA

`cxr_clip`: the `.tar` is what `torch.save` wrote: model, optimiser, schedule, configuration. It is read without running
any code; the tensors go to model.safetensors, what of the configuration is needed to cxr_clip.json.
`llava_med`: LLaVA-Med 1.0 is published as what must be added to the original LLaMA-7B. Rows of the embedding that LLaMA
does not have, and the projection, are taken as they are.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medcsp_model.baselines.radiology.cxr_clip import CONFIG, WEIGHTS
from medcsp_model.baselines.radiology.interface import NotAvailableError
from medcsp_model.baselines.radiology.llava_med import PROJECTOR
from medcsp_model.baselines.radiology.weights import SHARDED, find_file, read_file, read_json, read_tensors
from medcsp_model.checkpoint import write_json, write_tensors
from medcsp_model.command import parser_of, start

GROWN = ("model.embed_tokens.weight", "lm_head.weight")
"""Tables that have more rows than LLaMA's, for the tokens of images."""
COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def convert_cxr_clip(checkpoint: str | Path, folder: str | Path) -> None:
    """Write a CXR-CLIP checkpoint's tensors and configuration.

    Raises:
        NotAvailableError: the file is absent, would run code, or is no such checkpoint.
    """
    path, folder = Path(checkpoint), Path(folder)
    if not path.is_file():
        raise NotAvailableError(f"{path}: no such file")
    scalar: Any = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")  # before and since numpy 2
    numbers: list[Any] = [np.dtype, np.dtypes.Float64DType, np.dtypes.Int64DType, *((scalar, name) for name in names)]
    with torch.serialization.safe_globals(numbers):  # numbers of its learning rate's schedule
        found = read_file(path)
    try:
        tensors, model, base = found["model"], found["config"]["model"], found["config"]["base"]
        config = {
            "image_encoder": model["image_encoder"]["name"],
            "text_pooling": model["text_encoder"]["pooling"],
            "text_max_length": int(base["text_max_length"]),
            "projection": model["projection_head"]["name"],
        }
    except (KeyError, TypeError) as error:
        raise NotAvailableError(f"{path}: not a checkpoint of CXR-CLIP: no {error}") from error
    if config["projection"] != "linear":
        raise NotAvailableError(f"{path}: projection {config['projection']!r}; the published ones are linear")
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / WEIGHTS, _apart(tensors))
    write_json(folder / CONFIG, config)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that share no memory, as safetensors wants them."""
    return {name: value.clone() for name, value in tensors.items()}


def add_delta(delta: str | Path, folder: str | Path, *, base: str | Path) -> None:
    """Write LLaVA-Med 1.0: the published delta added to the original LLaMA, shard by shard, in the delta's own dtype.

    Args:
        delta: folder of the published delta.
        folder: written; the sub-folder vision_tower is added by hand.
        base: folder of the original LLaMA-7B in transformers' format; its tokenizer.json is taken where the delta has
            none.

    Raises:
        NotAvailableError: files are missing, or the two do not belong together.
    """
    delta, folder, base = Path(delta), Path(folder), Path(base)
    given, _ = read_tensors(base, SHARDED)
    path = find_file(delta, [*SHARDED, *(f"{name}.index.json" for name in SHARDED)])
    index = read_json(path)["weight_map"] if path.suffix == ".json" else {}
    shards = sorted(set(index.values())) or [path.name]
    folder.mkdir(parents=True, exist_ok=True)
    weight_map: dict[str, str] = {}
    seen: set[str] = set()
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        found = read_file(find_file(delta, [shard]))
        summed = {key: _sum(key, value, given.get(key), delta / shard) for key, value in found.items()}
        write_tensors(folder / name, summed)
        weight_map |= dict.fromkeys(summed, name)
        seen |= set(summed)
    left = sorted(key for key in set(given) - seen if "rotary_emb" not in key)
    if left:
        raise NotAvailableError(f"{delta}: has no {left[0]} and {len(left) - 1} more of {base}: not its delta")
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})
    for name in COPIED:
        origin = [place / name for place in (delta, base) if (place / name).is_file()]
        if origin:
            shutil.copyfile(origin[0], folder / name)


def _sum(name: str, delta: Tensor, base: Tensor | None, path: Path) -> Tensor:
    if base is None:
        if not name.startswith(PROJECTOR) and "rotary_emb" not in name:
            raise NotAvailableError(f"{path}: {name} is no tensor of the base; give the LLaMA-7B it was made from")
        return delta.clone()
    rows = len(base) if base.ndim else 0
    if base.shape != delta.shape and (name not in GROWN or base.shape[1:] != delta.shape[1:] or rows > len(delta)):
        raise NotAvailableError(f"{path}: {name} is {tuple(delta.shape)}, in the base {tuple(base.shape)}")
    summed = delta.clone()
    summed[:rows] += base.to(delta.dtype)
    return summed


def main() -> int:
    """Run the command; the exit status is 0, or 2 for an error the user can repair."""
    parser = parser_of(__doc__)
    parser.add_argument("family", choices=("cxr_clip", "llava_med"))
    parser.add_argument("published", type=Path, help="the checkpoint, or the folder of the delta")
    parser.add_argument("folder", type=Path, help="folder to write")
    parser.add_argument("--base", type=Path, help="folder of the original LLaMA-7B")
    given: Any = parser.parse_args()
    if given.family == "cxr_clip":
        convert_cxr_clip(given.published, given.folder)
    elif given.base is None:
        raise ValueError("llava_med needs --base, the folder of the original LLaMA-7B")
    else:
        add_delta(given.published, given.folder, base=given.base)
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
