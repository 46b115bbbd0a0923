"""Published weights: finding them, reading tensors and nothing else, and putting every one of them into a module.

A file is safetensors or what `torch.load(weights_only=True)` takes; a pickle that holds more is refused. A tensor
without a place, or a place without a tensor, is an error that lists them: a model that is half loaded still gives
numbers. Sizes that a release leaves to its code are read from the shapes of its tensors.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BertConfig, SwinConfig

from medcsp_model.baselines.radiology.interface import NotAvailableError

Tensors = dict[str, Tensor]
SHARDED = ("model.safetensors", "pytorch_model.bin")
BUFFERS = re.compile(r"(embeddings\.position_ids|relative_position_index|rotary_emb\.inv_freq)$")
"""Tables that older releases stored and that every version of the code computes itself."""
_HEAD_DIM = 64
_SHOWN = 6


def find_file(folder: str | Path, names: Sequence[str]) -> Path:
    """The first of some files that a folder has.

    Raises:
        NotAvailableError: there is no such folder, or none of the files in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotAvailableError(f"{folder}: no such folder; docs/models.md says where its files are to be had")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise NotAvailableError(f"{folder}: none of {', '.join(names)}; docs/models.md says which files it needs")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; NotAvailableError where it is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NotAvailableError(f"{path}: not JSON: {error}; fetch the file again") from error
    if not isinstance(values, dict):
        raise NotAvailableError(f"{path}: not a JSON object; fetch the file again")
    return values


def read_file(path: Path) -> Any:
    """What a weights file holds: tensors by name, or whatever plain values a `torch.save` wrote around them.

    Raises:
        NotAvailableError: a damaged file, or a pickle that would run code.
    """
    try:
        return load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except UnpicklingError as error:
        raise NotAvailableError(
            f"{path}: holds more than tensors and plain values, which could run code when it is read; save its state"
            " dict alone where it comes from"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError) as error:
        raise NotAvailableError(f"{path}: cannot be read: {error}; fetch the file again") from error


def read_tensors(folder: str | Path, names: Sequence[str] = SHARDED, *, only: str = "") -> tuple[Tensors, Path]:
    """All tensors of a folder's weights, whole or in shards, and the file that stands for them.

    Args:
        folder: where the weights are.
        names: files that may hold them, the first one found; each also as an index of shards.
        only: prefix of the tensors wanted; shards without one are not opened.

    Raises:
        NotAvailableError: no weights, a shard that is missing, or a file that is not only tensors.
    """
    path = find_file(folder, [*names, *(f"{name}.index.json" for name in names)])
    if path.suffix != ".json":
        found = _only_tensors(read_file(path), path)
        return {name: value for name, value in found.items() if name.startswith(only)}, path
    shard_of = read_json(path).get("weight_map", {})
    shards = sorted({shard for name, shard in shard_of.items() if name.startswith(only)})
    tensors: Tensors = {}
    for shard in shards:
        found = _only_tensors(read_file(find_file(folder, [shard])), path.with_name(shard))
        tensors |= {name: value for name, value in found.items() if name.startswith(only)}
    return tensors, path


def _only_tensors(found: Any, path: Path) -> Tensors:
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = {name.removeprefix("module."): value for name, value in found["state_dict"].items()}
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise NotAvailableError(f"{path}: not a state dict of tensors; docs/models.md says which file is meant")
    return dict(found)


def load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], *, path: Path) -> None:
    """Put tensors into a module, as float32 where they are floating.

    Raises:
        NotAvailableError: names the tensors that are missing, have no place, or another shape.
    """
    own = module.state_dict()
    given = {name: value for name, value in tensors.items() if name in own or not BUFFERS.search(name)}
    wrong = {
        name: f"{name} {tuple(value.shape)} for {tuple(own[name].shape)}"
        for name, value in given.items()
        if name in own and own[name].shape != value.shape
    }
    refuse_partial(path, missing=set(own) - set(given), unused=set(given) - set(own), wrong=wrong.values())
    module.load_state_dict(given)


def refuse_partial(path: Path, *, missing: Iterable[str], unused: Iterable[str], wrong: Iterable[str] = ()) -> None:
    """Raise NotAvailableError where weights and model differ, listing in what."""
    parts = [
        f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
        for what, found in (("missing", missing), ("without a place", unused), ("of another shape", wrong))
        if (names := sorted(found))
    ]
    if parts:
        raise NotAvailableError(
            f"{path}: not this model's weights: tensors {'; '.join(parts)}; docs/models.md says which file is meant"
        )


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    """Tensors under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


_SWIN = (
    (r"\.attention\.self\.(query|key|value)\.", lambda match: f".attention.{match[1][0]}_proj."),
    (
        r"\.attention\.self\.relative_position_bias_table$",
        lambda match: ".attention.relative_position_bias.relative_position_bias_table",
    ),
    (r"\.attention\.output\.dense\.", lambda match: ".attention.o_proj."),
    (r"\.intermediate\.dense\.", lambda match: ".mlp.fc1."),
    (r"(?<!attention)\.output\.dense\.", lambda match: ".mlp.fc2."),
)


def swin_names(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    """Tensors of a `SwinModel` under a prefix by their names in transformers 5, from those or from the older ones."""
    renamed: Tensors = {}
    for name, value in tensors.items():
        new = name
        if name.startswith(prefix):
            for pattern, replacement in _SWIN:
                new = re.sub(pattern, replacement, new)
        renamed[new] = value
    return renamed


def bert_config(tensors: Mapping[str, Tensor], *, path: Path) -> BertConfig:
    """Sizes of a BERT from its tensors (names without a prefix); heads are 64 wide, as in every published BERT.

    Raises:
        NotAvailableError: an embedding or the first layer is missing.
    """
    try:
        words, width = tensors["embeddings.word_embeddings.weight"].shape
        return BertConfig(
            vocab_size=words,
            hidden_size=width,
            num_hidden_layers=_count(tensors, "encoder.layer."),
            num_attention_heads=max(1, width // _HEAD_DIM),
            intermediate_size=tensors["encoder.layer.0.intermediate.dense.weight"].shape[0],
            max_position_embeddings=tensors["embeddings.position_embeddings.weight"].shape[0],
            type_vocab_size=tensors["embeddings.token_type_embeddings.weight"].shape[0],
        )
    except KeyError as error:
        raise NotAvailableError(f"{path}: not this model's weights: no {error} in its BERT") from error


def swin_config(tensors: Mapping[str, Tensor], *, image_size: int, path: Path) -> SwinConfig:
    """Sizes of a Swin transformer from its tensors (names of transformers 5 without a prefix).

    Raises:
        NotAvailableError: the patch embedding or a stage's first block is missing.
    """
    try:
        patches = tensors["embeddings.patch_embeddings.projection.weight"]
        depths = [
            _count(tensors, f"encoder.layers.{stage}.blocks.") for stage in range(_count(tensors, "encoder.layers."))
        ]
        table = "attention.relative_position_bias.relative_position_bias_table"
        biases = [tensors[f"encoder.layers.{stage}.blocks.0.{table}"] for stage in range(len(depths))]
        hidden = tensors["encoder.layers.0.blocks.0.mlp.fc1.weight"]
    except KeyError as error:
        raise NotAvailableError(f"{path}: not this model's weights: no {error} in its Swin transformer") from error
    return SwinConfig(
        image_size=image_size,
        patch_size=patches.shape[-1],
        num_channels=patches.shape[1],
        embed_dim=patches.shape[0],
        depths=depths,
        num_heads=[bias.shape[1] for bias in biases],
        window_size=(int(biases[0].shape[0] ** 0.5) + 1) // 2,
        mlp_ratio=hidden.shape[0] / hidden.shape[1],
    )


def _count(tensors: Iterable[str], prefix: str) -> int:
    """How many numbers follow a prefix."""
    return len({name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)})


def load_pretrained(
    model_class: Any, folder: str | Path, *, unused: re.Pattern[str] | None = None, **settings: Any
) -> Any:
    """A model of transformers from its folder, in float32 unless `dtype` says otherwise, every tensor used.

    Args:
        model_class: class with `from_pretrained`.
        folder: in transformers' format, weights whole or in shards.
        unused: tensors that belong elsewhere.
        settings: passed on.

    Raises:
        NotAvailableError: no such folder, no configuration or weights, a pickle, or tensors that differ.
    """
    path = find_file(folder, ["config.json"])
    find_file(folder, [*SHARDED, *(f"{name}.index.json" for name in SHARDED)])
    with _quiet():
        try:
            model, info = model_class.from_pretrained(
                str(folder),
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **({"dtype": torch.float32} | settings),
            )
        except UnpicklingError as error:
            raise NotAvailableError(f"{folder}: its weights hold more than tensors; take safetensors") from error
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            raise NotAvailableError(f"{folder}: cannot be opened: {error}; fetch its files again") from error
    left = {name for name in info["unexpected_keys"] if not BUFFERS.search(name)}
    left = {name for name in left if unused is None or not unused.search(name)}
    wrong = [str(each[0]) for each in info["mismatched_keys"]]
    refuse_partial(path.parent, missing=set(info["missing_keys"]) - set(wrong), unused=left, wrong=wrong)
    return model.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave transformers' report of what it loaded, which we check ourselves, and its progress bar out of the log."""
    log = transformers.utils.logging
    before, bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(before)
        if bar:
            log.enable_progress_bar()
