"""WordPiece tokens of BERT's uncased kind: a vocabulary counted from texts or read from a folder, and tokenised texts.

The vocabulary is counted, not grown by merges: special tokens, every character, whole words by frequency, then their
beginnings and endings. It depends on the texts alone, not on their order, nor on threads (the trainers of the
`tokenizers` package break ties by hash order).
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, UNKNOWN, START, END, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL_TOKENS = (PAD, UNKNOWN, START, END, MASK)
MAX_WORD_CHARACTERS = 100
TEXTS_PER_BATCH = 2048


def train_wordpiece(texts: Iterable[str], *, size: int, min_count: int = 2) -> pl.DataFrame:
    """Count a WordPiece vocabulary.

    Args:
        texts: training texts; repeated ones count each time.
        size: most tokens of the vocabulary.
        min_count: words and pieces seen less often are left out; characters never are.

    Returns:
        Rows of contract TokenizerVocabulary: special tokens ([PAD] is 0), characters, continued characters, words by
        falling count then name, beginnings and endings of words likewise.

    Raises:
        ValueError: there is no text, or `size` is too small for the characters.
    """
    words = _count_words(texts)
    if not words:
        raise ValueError("tokenizer: there is no text to count a vocabulary from; check notes and reports")
    characters = sorted({character for word in words for character in word})
    base = [*SPECIAL_TOKENS, *characters, *(f"##{character}" for character in characters)]
    if len(base) > size:
        raise ValueError(f"tokenizer: size {size} is too small for {len(base)} special tokens and characters")
    pieces: Counter[str] = Counter()
    for word, count in words.items():
        for length in range(2, len(word) + 1):
            pieces[word[:length]] += count
        for length in range(2, len(word)):
            pieces[f"##{word[-length:]}"] += count
    chosen = dict.fromkeys(base)
    for counts in (words, pieces):
        ranked = sorted((-count, token) for token, count in counts.items() if count >= min_count)
        for _, token in ranked:
            if len(chosen) == size:
                break
            chosen.setdefault(token)
    return _vocabulary(list(chosen))


def load_wordpiece(folder: Path) -> pl.DataFrame:
    """Read the vocabulary of a tokenizer folder: `vocab.txt`, else `tokenizer.json`.

    Returns:
        Rows of contract TokenizerVocabulary.

    Raises:
        ValueError: neither file exists, the positions have holes, or a special token is missing.
    """
    plain, described = folder / "vocab.txt", folder / "tokenizer.json"
    if plain.is_file():
        tokens = plain.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    elif described.is_file():
        positions: dict[str, int] = json.loads(described.read_text(encoding="utf-8"))["model"]["vocab"]
        tokens = sorted(positions, key=positions.__getitem__)
        if sorted(positions.values()) != list(range(len(tokens))):
            raise ValueError(f"{described}: positions of model.vocab have holes or repeat")
    else:
        raise ValueError(f"{folder}: neither vocab.txt nor tokenizer.json is there; put the tokenizer's files into it")
    missing = [token for token in SPECIAL_TOKENS if token not in set(tokens)]
    if missing:
        raise ValueError(f"{folder}: the vocabulary lacks {', '.join(missing)}; it is no BERT WordPiece vocabulary")
    return _vocabulary(tokens)


def tokenize(texts: pl.DataFrame, vocabulary: pl.DataFrame, *, context_length: int = 256) -> pl.DataFrame:
    """Tokenise texts, [CLS] and [SEP] around them, cut to the context.

    Args:
        texts: source, text_id, subject_id, text.
        vocabulary: rows of contract TokenizerVocabulary.
        context_length: most tokens of a text, at least 2.

    Returns:
        Rows of contract TextTokens, in the order of `texts`.
    """
    if context_length < 2:
        raise ValueError(f"tokenizer: context_length is {context_length}; [CLS] and [SEP] alone need 2")
    tokens = vocabulary.sort("token_index")["token"].to_list()
    start, end = tokens.index(START), tokens.index(END)
    tokenizer = _tokenizer(tokens)
    # repeated texts (one report, several images) are tokenised once
    distinct = texts.select("text").unique(maintain_order=True)
    parts = [distinct.clear().with_columns(_num_inner(), _inner())]
    for part in distinct.iter_slices(TEXTS_PER_BATCH):
        encoded = [e.ids for e in tokenizer.encode_batch_fast(part["text"].to_list(), add_special_tokens=False)]
        parts.append(
            part.with_columns(
                pl.Series("num_tokens", [len(ids) + 2 for ids in encoded], dtype=pl.Int32),
                pl.Series(
                    "token_indices",
                    [[start, *ids[: context_length - 2], end] for ids in encoded],
                    dtype=pl.List(pl.Int32),
                ),
            )
        )
    return texts.join(pl.concat(parts), on="text", how="left", maintain_order="left").select(
        "source",
        "text_id",
        "subject_id",
        "num_tokens",
        (pl.col("num_tokens") > context_length).alias("is_truncated"),
        "token_indices",
    )


def _num_inner() -> pl.Expr:
    return pl.lit(None, dtype=pl.Int32).alias("num_tokens")


def _inner() -> pl.Expr:
    return pl.lit(None, dtype=pl.List(pl.Int32)).alias("token_indices")


def _vocabulary(tokens: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {"token_index": range(len(tokens)), "token": tokens}, schema={"token_index": pl.Int32, "token": pl.String}
    )


def _count_words(texts: Iterable[str]) -> Counter[str]:
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    normalizer, splitter = BertNormalizer(lowercase=True), BertPreTokenizer()
    words: Counter[str] = Counter()
    for text, count in Counter(texts).items():
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)):
            words[word] += count
    return words


def _tokenizer(tokens: list[str]) -> "Tokenizer":
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    model = WordPiece(
        {token: index for index, token in enumerate(tokens)},
        unk_token=UNKNOWN,
        max_input_chars_per_word=MAX_WORD_CHARACTERS,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer
