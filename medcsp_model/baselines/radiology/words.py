"""Texts to token ids with a tokenizer from local files, cut and padded like transformers does it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import BertWordPieceTokenizer, Tokenizer

from medcsp_model.baselines.radiology.interface import NotAvailableError, Tokens
from medcsp_model.baselines.radiology.weights import find_file, read_json

FILES = ("tokenizer.json", "vocab.txt")


class TextTokenizer:
    """A tokenizer of the `tokenizers` package with the token that pads.

    Args:
        folder: with `tokenizer.json`, or a BERT's `vocab.txt`, which is read in lower case unless
            `tokenizer_config.json` says otherwise (so does transformers, and so was Bio_ClinicalBERT used, whose
            vocabulary is cased).
        pad: token that pads; empty takes the one of `tokenizer_config.json` or `special_tokens_map.json`, else [PAD].

    Raises:
        NotAvailableError: no tokenizer, one that cannot be read, or no token to pad with.
    """

    def __init__(self, folder: str | Path, *, pad: str = "") -> None:
        path = find_file(folder, FILES)
        named: dict[str, Any] = {}
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            if (path.parent / name).is_file():
                named |= read_json(path.parent / name)
        if path.name == "vocab.txt":
            self.inner: Any = BertWordPieceTokenizer(str(path), lowercase=bool(named.get("do_lower_case", True)))
        elif "model" in read_json(path):
            self.inner = Tokenizer.from_file(str(path))
        else:
            raise NotAvailableError(f"{path}: not a tokenizer; fetch the file again")
        self.pad = pad or _plain(named.get("pad_token")) or "[PAD]"
        self.pad_id = self.inner.token_to_id(self.pad)
        if self.pad_id is None:
            raise NotAvailableError(f"{path}: has no token {self.pad!r} to pad with; fetch its special tokens' files")

    def __call__(self, texts: Sequence[str], context_length: int, *, pad_to: int = 0) -> Tokens:
        """Ids and mask of texts, cut to `context_length`, padded on the right to the longest, or to `pad_to`."""
        self.inner.enable_truncation(context_length)
        self.inner.no_padding()
        rows = [encoded.ids for encoded in self.inner.encode_batch(list(texts))]
        return pad_rows(rows, self.pad_id, length=pad_to)


def pad_rows(rows: Sequence[Sequence[int]], pad_id: int, *, length: int = 0) -> Tokens:
    """Rows of ids as one array, padded on the right to the longest, or to `length`; an empty row gets one pad."""
    length = length or max([1, *map(len, rows)])
    ids = torch.full((len(rows), length), pad_id, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row, dtype=torch.int64)
        mask[place, : len(row)] = 1
    return Tokens(ids, mask)


def _plain(token: str | Mapping[str, Any] | None) -> str:
    """A special token's text, which a configuration gives as it is or as an object."""
    return token if isinstance(token, str) else str(token["content"]) if token else ""
