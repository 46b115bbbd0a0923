"""The language model: frozen weights and a tokenizer from a local folder, prompts, a corpus's texts in its words.

A corpus holds texts as word pieces of its own vocabulary. They are put together again (in lower case, as that
vocabulary has them) and cut anew by the language model's tokenizer.

What does not live here: what is made of its states (`medcsp_model.llm.model`).
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel, LlamaConfig, LlamaModel

from medcsp_model.baselines.radiology.interface import NotAvailableError
from medcsp_model.baselines.radiology.weights import find_file, load_pretrained, read_json
from medcsp_model.baselines.radiology.words import TextTokenizer
from medcsp_model.checkpoint import write_json, write_tensors
from medcsp_model.corpus import Corpus, Text

NO_TOKEN = -1
"""Pads texts: no tokenizer has such an id, so that a padded place is known from a word."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ELSEWHERE = re.compile(r"^(lm_head|model\.(mm_projector|vision_tower))\.")
"""Tensors of a published language model that none of its hidden states needs."""

PROMPTS = {
    "diagnosis": ("Diagnosis codes of a hospital admission: ", "\nThe admission in short:"),
    "drug": ("Drugs given in a hospital admission: ", "\nThe admission in short:"),
    "demographics": ("Age, sex and origin of a patient: ", "\nThe patient in short:"),
    "series": ("Hourly readings of an intensive care stay: ", "\nThe stay in short:"),
    "note": ("Discharge summary of a hospital admission: ", "\nThe admission in short:"),
    "image": ("Image of a chest X-ray: ", "\nThe findings in short:"),
    "report": ("Report of a chest X-ray: ", "\nThe findings in short:"),
}
"""What stands before and after a modality, by its name; our own wording, as the paper prints none."""
BY_KIND = {
    "codes": ("Codes of a medical record: ", "\nThe record in short:"),
    "dense": ("Numbers of a medical record: ", "\nThe record in short:"),
    "series": ("Readings of a patient over time: ", "\nThe patient in short:"),
    "text": ("Text of a medical record: ", "\nThe record in short:"),
    "image": ("Image of a patient: ", "\nThe findings in short:"),
}
"""The same of modalities with other names."""
RANDOM: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 1024,
    "initializer_range": 0.15,  # with the usual 0.02 so few layers hardly tell one soft token from another
}
"""Sizes of the random language model of demo and tests."""


@dataclass(frozen=True)
class Language:
    """A language model without its head, frozen, and its tokenizer.

    Attributes:
        model: of transformers, a `LlamaModel` or one with the same call.
        tokenizer: its own.
        folder: where both came from.
        digest: of names and sizes of the folder's files and the content of its JSON files.
    """

    model: Any
    tokenizer: TextTokenizer
    folder: Path
    digest: str

    @classmethod
    def open(cls, folder: str | Path, *, dtype: str) -> "Language":
        """Open a folder in transformers' format (LLaMA, or any decoder with its call); every tensor is used.

        Raises:
            NotAvailableError: what is missing or does not fit.
            ValueError: the model draws random numbers while training.
        """
        folder = Path(folder)
        config = read_json(find_file(folder, ["config.json"]))
        options: dict[str, Any] = {"dtype": getattr(torch, dtype), "unused": ELSEWHERE}
        if config.get("model_type") == "llava" and "text_config" not in config:  # LLaVA-Med 1.0 is a LLaMA with more
            known = set(signature(LlamaConfig).parameters)
            options["config"] = LlamaConfig(**{name: value for name, value in config.items() if name in known})
            model = load_pretrained(LlamaModel, folder, **options)
        else:
            model = load_pretrained(AutoModel, folder, **options)
        if getattr(model.config, "attention_dropout", 0.0):
            raise ValueError(f"{folder / 'config.json'}: attention_dropout must be 0, the language model is frozen")
        return cls(model.requires_grad_(False), TextTokenizer(folder, pad=_pad(folder)), folder, _digest(folder))

    def start_of_text(self, text: str) -> list[int]:
        """Tokens of a text at the start of a sequence, with the tokenizer's own start."""
        self.tokenizer.inner.no_truncation()
        ids: list[int] = self.tokenizer.inner.encode(text).ids
        return ids

    def tokens(self, text: str) -> list[int]:
        """Tokens of a text that goes on."""
        self.tokenizer.inner.no_truncation()
        ids: list[int] = self.tokenizer.inner.encode(text, add_special_tokens=False).ids
        return ids

    def prompt(self, modality: str, kind: str) -> tuple[list[int], list[int]]:
        """Tokens before and after a modality."""
        before, after = PROMPTS.get(modality, BY_KIND[kind])
        return self.start_of_text(before), self.tokens(after)


def read_words(path: str | Path) -> list[str]:
    """The vocabulary of a corpus, one token a line; ValueError where there is none."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; it holds the word pieces of the corpus, one a line")
    return path.read_text(encoding="utf-8").splitlines()


def in_words_of(language: Language, corpus: Corpus, words: Sequence[str], *, context_length: int) -> Corpus:
    """The same corpus with all texts in the language model's tokens, padded by `NO_TOKEN`.

    Args:
        language: whose tokens.
        corpus: an open corpus.
        words: its vocabulary by token id.
        context_length: tokens of a sequence; a text is cut to what its prompt leaves of them.

    Raises:
        ValueError: the vocabulary lacks a token of the corpus, or a prompt leaves no room.
    """
    sources = {}
    for name, source in corpus.sources.items():
        modalities = {
            key: _translated(value, key, language, words, context_length) if isinstance(value, Text) else value
            for key, value in source.modalities.items()
        }
        sources[name] = replace(source, modalities=modalities)
    return replace(corpus, sources=sources)


def _translated(text: Text, modality: str, language: Language, words: Sequence[str], context_length: int) -> Text:
    before, after = language.prompt(modality, "text")
    left = context_length - len(before) - len(after)
    if left < 1:
        raise ValueError(f"settings.context_length: {context_length} tokens leave none beside the prompt of {modality}")
    if text.size > len(words):
        raise ValueError(f"the vocabulary has {len(words)} tokens, {modality} of the corpus {text.size}")
    decoder = decoders.WordPiece()
    rows = [
        decoder.decode([word for word in (words[token] for token in tokens) if word not in SPECIAL])
        for tokens in np.split(text.tokens, text.offsets[1:-1])
    ]
    language.tokenizer.inner.enable_truncation(left)
    ids = [found.ids for found in language.tokenizer.inner.encode_batch(rows, add_special_tokens=False)]
    filled = [row or [language.tokenizer.pad_id] for row in ids]  # a text without words is one token, as in the corpus
    return Text(
        row=text.row,
        offsets=np.cumsum([0, *map(len, filled)], dtype=np.int64),
        tokens=np.concatenate([np.array(row, dtype=np.int32) for row in filled] or [np.zeros(0, dtype=np.int32)]),
        size=language.model.config.vocab_size,
        pad_id=NO_TOKEN,
        is_framed=False,
    )


def write_random_language(folder: Path, words: Sequence[str], *, seed: int) -> None:
    """Write a tiny LLaMA with random weights whose words are a corpus's own: for tests and the demo alone."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys([*words, *SPECIAL]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - not a password
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", vocabulary["[CLS]"])]
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "special_tokens_map.json", {"pad_token": "[PAD]"})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaModel(LlamaConfig(vocab_size=len(vocabulary), pad_token_id=None, **RANDOM))
    model.config.save_pretrained(str(folder))
    write_tensors(folder / "model.safetensors", model.state_dict())


def _pad(folder: Path) -> str:
    """Name of a token that the tokenizer has; what is padded with never counts, so which one does not matter."""
    names = {token["content"] for token in read_json(find_file(folder, ["tokenizer.json"])).get("added_tokens", [])}
    for name in ("[PAD]", "<pad>", "<unk>", "</s>"):
        if name in names:
            return name
    raise NotAvailableError(f"{folder / 'tokenizer.json'}: has none of [PAD], <pad>, <unk>, </s>; fetch the file again")


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(f"{path.name}:{path.stat().st_size}\n".encode())
        if path.suffix == ".json":
            digest.update(path.read_bytes())
    return digest.hexdigest()
