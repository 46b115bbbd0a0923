"""Text encoders of the baselines: a pre-trained one from a local folder, or a random BERT of any size.

A folder is one of transformers' (config.json and model.safetensors), such as ClinicalBERT or the encoder of
Clinical-T5. The task folder's note must be tokenised with that model's own vocabulary. Nothing is ever fetched.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from medcsp_model.checkpoint import file_sha256, read_json
from medcsp_model.evaluation.task_data import InputSizes

_NEEDED = ("config.json", "model.safetensors")


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """A text encoder.

    Attributes:
        folder: local folder to start from; empty builds a random BERT of the sizes below.
        width, num_layers, num_heads, mlp_width, dropout: sizes of the random BERT.
        vocabulary, positions: rows of its embeddings; 0 takes what the task needs.
        frozen: keep its weights as they are.
    """

    folder: str = ""
    width: int = 768
    num_layers: int = 12
    num_heads: int = 12
    mlp_width: int = 3072
    dropout: float = 0.1
    vocabulary: int = 0
    positions: int = 512
    frozen: bool = False


def text_identity(settings: TextSettings) -> dict[str, Any]:
    """Settings as plain values, with the content of the folder in place of its path; ValueError if incomplete."""
    plain = dataclasses.asdict(settings)
    if settings.folder:
        plain["folder"] = [file_sha256(path) for path in _complete(Path(settings.folder))]
    return plain


class TextEncoder(nn.Module):
    """Token ids (B, L) to vectors (B, width): pooled output of the first token, or the mean over words.

    Args:
        sizes: of the task.
        settings: which encoder.
        pooling: `first` is BERT's pooler over the first token, `mean` the mean over tokens that are no padding.

    Raises:
        ValueError: the folder is incomplete, or has too few rows for the token ids of the task.
    """

    def __init__(self, sizes: InputSizes, settings: TextSettings, *, pooling: Literal["first", "mean"]) -> None:
        super().__init__()
        self.pad_id, self.pooling, self.frozen = sizes.pad_id, pooling, settings.frozen
        self.encoder = _from_folder(Path(settings.folder)) if settings.folder else _random_bert(sizes, settings)
        self.width = int(self.encoder.config.hidden_size)
        _check_rows(sizes, settings, self.encoder.config.to_dict())
        self.pooler = nn.Sequential(nn.Linear(self.width, self.width), nn.Tanh()) if pooling == "first" else None
        for parameter in self.encoder.parameters():
            parameter.requires_grad_(not settings.frozen)

    def train(self, mode: bool = True) -> "TextEncoder":
        """A frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, token_BL: Tensor) -> Tensor:
        """Vectors (B, width); a text of padding alone is zeros under `mean`."""
        word_BL = token_BL != self.pad_id
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            hidden_BLD = self.encoder(input_ids=token_BL, attention_mask=word_BL.long()).last_hidden_state
        if self.pooler is not None:
            first_BD: Tensor = self.pooler(hidden_BLD[:, 0])
            return first_BD
        mean_BD: Tensor = (hidden_BLD * word_BL[..., None]).sum(dim=1) / word_BL.sum(dim=1, keepdim=True).clamp(min=1)
        return mean_BD


def check_text(sizes: InputSizes, settings: TextSettings) -> None:
    """Refuse a folder that is incomplete, or whose model has too few rows for the task, without loading it."""
    if settings.folder and sizes.vocabulary:
        _complete(Path(settings.folder))
        _check_rows(sizes, settings, read_json(Path(settings.folder) / "config.json"))


def _check_rows(sizes: InputSizes, settings: TextSettings, config: Mapping[str, Any]) -> None:
    rows = config["vocab_size"]
    if rows < sizes.vocabulary:
        raise ValueError(
            f"{settings.folder or 'text.vocabulary'}: {rows} rows of token embeddings, the task has token ids below"
            f" {sizes.vocabulary}; tokenise its note with this model's own vocabulary"
        )
    positions = config.get("max_position_embeddings") or sizes.context
    if positions < sizes.context:
        raise ValueError(
            f"{settings.folder or 'text.positions'}: {positions} positions, the longest note of the task has up to"
            f" {sizes.context} tokens; publish the task with shorter notes or take an encoder with more positions"
        )


def _random_bert(sizes: InputSizes, settings: TextSettings) -> Any:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=settings.vocabulary or sizes.vocabulary,
        hidden_size=settings.width,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.num_heads,
        intermediate_size=settings.mlp_width,
        max_position_embeddings=settings.positions or sizes.context,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        pad_token_id=sizes.pad_id,
    )
    return BertModel(config, add_pooling_layer=False)


def _from_folder(folder: Path) -> Any:
    from transformers import AutoModel, T5EncoderModel

    _complete(folder)
    kind = read_json(folder / "config.json").get("model_type")
    if kind == "t5":
        return T5EncoderModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    more = {"add_pooling_layer": False} if kind == "bert" else {}
    return AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True, **more)


def _complete(folder: Path) -> list[Path]:
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{folder}: incomplete text encoder, no {', '.join(missing)}; give a folder with {' and '.join(_NEEDED)}"
            " (convert pytorch_model.bin with transformers' save_pretrained)"
        )
    return [folder / name for name in _NEEDED]
