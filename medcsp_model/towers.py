"""The image and the text tower: open_clip's own classes, built from a plain description, never from a hub.

open_clip reads its BERT from a folder, so a configuration is written to a temporary one while the towers are built;
given a configuration object instead it would add a BERT pooler that nothing uses.
"""

import importlib
import tempfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import open_clip
import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from safetensors import SafetensorError
from transformers import BertConfig

from medcsp_model.checkpoint import read_json
from medcsp_model.settings.training import ModelSettings

WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
    "pytorch_model.bin",
)
GRAPHS_PER_LENGTH = 6
"""Compiled versions of a tower: training, evaluation and without gradient, each for a single text and for several."""
_TEXT_KEYS = {"hf_proj_type": "proj", "hf_pooler_type": "pooler_type"}


def describe_towers(settings: ModelSettings, *, vocab_size: int, pad_id: int = 0) -> dict[str, Any]:
    """Plain description of both towers, enough to build them again: open_clip's `model_cfg` and the BERT's sizes.

    Args:
        settings: sizes; with `towers_folder` set, that folder's configuration names the architecture.
        vocab_size: token ids in the corpus, which the text tower must hold.
        pad_id: token that the corpus pads texts with, which the text tower must not attend to.

    Raises:
        ValueError: the folder holds no readable configuration, the text tower has too few embedding rows, or it pads
            with another token.
    """
    text = settings.text
    model_cfg: dict[str, Any] = {
        "embed_dim": settings.embed_dim,
        "vision_cfg": {
            "timm_model_name": settings.image.timm_model_name,
            "timm_model_pretrained": False,
            "timm_pool": settings.image.pool,
            "timm_proj": "linear",
            "image_size": settings.image.image_size,
        },
        "text_cfg": {"hf_proj_type": text.proj, "hf_pooler_type": text.pooler},
    }
    bert: dict[str, Any] = {
        "vocab_size": text.vocab_size or vocab_size,
        "hidden_size": text.width,
        "num_hidden_layers": text.num_layers,
        "num_attention_heads": text.num_heads,
        "intermediate_size": text.mlp_width,
        "max_position_embeddings": text.context_length,
        "pad_token_id": pad_id,
        "hidden_dropout_prob": text.dropout,
        "attention_probs_dropout_prob": text.dropout,
    }
    if settings.towers_folder:
        model_cfg, bert = _read_folder(Path(settings.towers_folder), settings, bert)
    if vocab_size > bert["vocab_size"]:
        raise ValueError(
            f"settings.model.text.vocab_size: the corpus has {vocab_size} tokens, the tower {bert['vocab_size']} rows"
        )
    if bert["pad_token_id"] != pad_id:
        raise ValueError(
            f"settings.model.towers_folder: its text tower pads with token {bert['pad_token_id']}, the corpus with "
            f"{pad_id}; publish the corpus in the tower's own vocabulary"
        )
    return {"model_cfg": model_cfg, "bert": bert}


def _read_folder(folder: Path, settings: ModelSettings, bert: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    path = folder / "open_clip_config.json"
    if not path.is_file():
        raise ValueError(f"settings.model.towers_folder: no {path}; give a folder in open_clip's format")
    given = read_json(path)["model_cfg"]
    if given["embed_dim"] != settings.embed_dim:
        raise ValueError(
            f"{path}: embed_dim {given['embed_dim']}, but settings.model.embed_dim is {settings.embed_dim}"
        )
    text = given["text_cfg"]
    text_cfg = {new: text.get(new, text.get(old)) for new, old in _TEXT_KEYS.items()}
    local = folder / "config.json"
    if local.is_file():
        sizes = {"pad_token_id": 0} | read_json(local)  # BERT's own, where it is not said
        bert = bert | {key: sizes[key] for key in bert if key in sizes and "dropout" not in key}
    vision_cfg = given["vision_cfg"] | {"timm_model_pretrained": False}
    return {"embed_dim": given["embed_dim"], "vision_cfg": vision_cfg, "text_cfg": text_cfg}, bert


def build_towers(description: dict[str, Any]) -> CustomTextCLIP:
    """Both towers at random weights, from what `describe_towers` returned; ValueError for what has no such tower."""
    model_cfg = description["model_cfg"]
    with tempfile.TemporaryDirectory() as folder:
        BertConfig(**description["bert"]).save_pretrained(folder)
        text_cfg = CLIPTextCfg(hf_model_name=folder, hf_model_pretrained=False, **model_cfg["text_cfg"])
        try:
            return CustomTextCLIP(model_cfg["embed_dim"], CLIPVisionCfg(**model_cfg["vision_cfg"]), text_cfg)
        except (RuntimeError, AssertionError) as error:  # timm's words for a name or a pool that it does not know
            raise ValueError(f"settings.model.image: {error}; timm.list_models() names what there is") from error


def load_tower_weights(towers: CustomTextCLIP, folder: str | Path) -> None:
    """Load the weights of an open_clip folder, tensors only.

    Raises:
        ValueError: the folder holds no weights, the file is torn, or its tensors are not those of the towers.
    """
    path = weights_file(folder)
    try:
        open_clip.load_checkpoint(towers, str(path), strict=True)
    except (RuntimeError, SafetensorError, UnpicklingError) as error:
        raise ValueError(
            f"{path}: is torn, holds more than tensors, or does not fit the towers of the settings: {error}"
        ) from error


def weights_file(folder: str | Path) -> Path:
    """The file of an open_clip folder that `load_tower_weights` reads; ValueError where it holds none."""
    found = [Path(folder) / name for name in WEIGHTS if (Path(folder) / name).is_file()]
    if not found:
        raise ValueError(f"settings.model.towers_folder: no weights in {folder}; expected one of {', '.join(WEIGHTS)}")
    return found[0]


def compile_towers(towers: CustomTextCLIP, *, num_lengths: int, backend: str = "inductor") -> None:
    """Compile the forward pass of both towers in place, each without a graph break; names of weights stay as they are.

    The number of images or texts may change from batch to batch; each length of text has a graph of its own, and so has
    each of training, evaluation and embedding without a gradient. DistributedDataParallel must not cut the graphs: it
    would with a gradient alone, and the pieces would draw other random numbers than the whole without one.

    Args:
        towers: both towers.
        num_lengths: lengths that texts are padded to.
        backend: of the compiler.
    """
    dynamo = importlib.import_module("torch._dynamo")  # costs seconds, which those who do not compile need not wait
    dynamo.config.optimize_ddp = False
    for limit in ("recompile_limit", "accumulated_recompile_limit"):
        setattr(dynamo.config, limit, max(getattr(dynamo.config, limit), GRAPHS_PER_LENGTH * (num_lengths + 1)))
    for tower in (towers.visual, towers.text):
        tower.compile(fullgraph=True, backend=backend)


def mark_batch(x: torch.Tensor) -> None:
    """Tell the compiler that the first size of a tensor changes from batch to batch, and no other."""
    if len(x) > 1:  # nobody can say of 0 and 1 that they change: they get graphs of their own
        dynamo = importlib.import_module("torch._dynamo")
        dynamo.maybe_mark_dynamic(x, 0)
        for place in range(1, x.ndim):
            dynamo.mark_static(x, place)


def count_parameters(module: torch.nn.Module) -> int:
    """Number of parameters, trainable or not."""
    return sum(parameter.numel() for parameter in module.parameters())
