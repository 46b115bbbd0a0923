import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.features import TextTokens, TokenizerVocabulary
from pipelines.features.tokens import SPECIAL_TOKENS, load_wordpiece, tokenize, train_wordpiece

WORDS = ["no", "effusion", "effusions", "mild", "edema", "edematous", "right", "the"]


def texts(*contents):
    return pl.DataFrame(
        {
            "source": ["cxr"] * len(contents),
            "text_id": [str(k) for k in range(len(contents))],
            "subject_id": range(1, len(contents) + 1),
            "text": contents,
        },
        schema={"source": pl.String, "text_id": pl.String, "subject_id": pl.Int64, "text": pl.String},
    )


def pieces(text, vocabulary, **how):
    names = vocabulary["token"].to_list()
    return [names[index] for index in tokenize(texts(text), vocabulary, **how)["token_indices"][0]]


def test_special_tokens_come_first_then_characters_then_words_by_count():
    vocabulary = train_wordpiece(["b a ab", "ab zz ab"], size=50, min_count=2)
    assert TokenizerVocabulary.filter(vocabulary)[1].counts() == {}
    assert vocabulary["token"].to_list() == [*SPECIAL_TOKENS, "a", "b", "z", "##a", "##b", "##z", "ab"]
    assert vocabulary["token_index"].to_list() == list(range(12))


def test_pieces_fill_what_words_leave():
    vocabulary = train_wordpiece(["edema", "edematous"], size=60, min_count=2)
    assert vocabulary["token"].to_list()[-4:] == ["ed", "ede", "edem", "edema"]
    assert pieces("edematous", vocabulary) == ["[CLS]", "edema", "##t", "##o", "##u", "##s", "[SEP]"]


def test_the_size_is_never_exceeded():
    vocabulary = train_wordpiece([" ".join(WORDS)] * 3, size=45, min_count=1)
    assert vocabulary.height == 45
    assert vocabulary["token"].n_unique() == 45


def test_accents_and_capitals_fold_and_punctuation_splits():
    vocabulary = train_wordpiece(["edema."], size=30, min_count=1)
    assert pieces("ÉDEMA.", vocabulary) == ["[CLS]", "edema", ".", "[SEP]"]


def test_an_unknown_character_is_unknown_and_an_empty_text_is_its_frame():
    vocabulary = train_wordpiece(["edema"], size=30, min_count=1)
    assert pieces("edema ?", vocabulary) == ["[CLS]", "edema", "[UNK]", "[SEP]"]
    assert pieces("  ", vocabulary) == ["[CLS]", "[SEP]"]


def test_a_long_text_is_cut_and_keeps_its_end_token():
    vocabulary = train_wordpiece(["a b"], size=30, min_count=1)
    tokens = tokenize(texts("a b a b a", "a"), vocabulary, context_length=4)
    assert TextTokens.filter(tokens, cast=True)[1].counts() == {}
    assert tokens["num_tokens"].to_list() == [7, 3]
    assert tokens["is_truncated"].to_list() == [True, False]
    assert pieces("a b a b a", vocabulary, context_length=4) == ["[CLS]", "a", "b", "[SEP]"]


def test_no_text_gives_no_row():
    vocabulary = train_wordpiece(["a"], size=30)
    assert tokenize(texts(), vocabulary).schema == tokenize(texts("a"), vocabulary).schema
    assert tokenize(texts(), vocabulary).is_empty()


@settings(max_examples=30, deadline=None)
@given(
    contents=st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), min_size=1, max_size=12),
    seed=st.integers(0, 9),
)
def test_the_vocabulary_does_not_depend_on_the_order_of_texts(contents, seed):
    contents = [*contents, "the"]
    shuffled = contents.copy()
    random.Random(seed).shuffle(shuffled)
    first = train_wordpiece(contents, size=64)
    assert first.equals(train_wordpiece(shuffled, size=64))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(alphabet="abcé .-A\n", max_size=30), max_size=8), st.integers(2, 9))
def test_tokens_stay_inside_the_context_and_the_vocabulary(contents, context_length):
    vocabulary = train_wordpiece(["abc cab", "abc . -"], size=40, min_count=1)
    tokens = tokenize(texts(*contents), vocabulary, context_length=context_length)
    assert tokens["text_id"].to_list() == texts(*contents)["text_id"].to_list()
    for num_tokens, is_truncated, indices in tokens.select("num_tokens", "is_truncated", "token_indices").iter_rows():
        assert len(indices) == min(num_tokens, context_length)
        assert is_truncated == (num_tokens > context_length)
        assert (indices[0], indices[-1]) == (2, 3)
        assert max(indices) < vocabulary.height


def test_pubmedbert_tokens_are_those_of_its_own_tokenizer(test_data):
    from tokenizers import Tokenizer

    folder = test_data / "tokenizers" / "pubmedbert"
    vocabulary = load_wordpiece(folder)
    assert vocabulary.height == 28_895
    reports = [
        "FINAL REPORT\n EXAMINATION: Chest (PA and lateral)\n ___-year-old woman with dyspnoea",
        "Mild cardiomegaly; no pneumothorax, no pleural effusion. Naïve β-lactam 37.5°C",
        "x" * 300,
        "",
    ]
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    own.enable_truncation(16)
    expected = [encoding.ids for encoding in own.encode_batch(reports)]
    assert tokenize(texts(*reports), vocabulary, context_length=16)["token_indices"].to_list() == expected


def test_both_files_of_a_tokenizer_give_the_same_vocabulary(test_data, tmp_path):
    folder = test_data / "tokenizers" / "pubmedbert"
    (tmp_path / "tokenizer.json").symlink_to(folder / "tokenizer.json")
    assert load_wordpiece(tmp_path).equals(load_wordpiece(folder))


def test_a_folder_without_a_vocabulary_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"neither vocab.txt nor tokenizer.json"):
        load_wordpiece(tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\nword\n")
    with pytest.raises(ValueError, match=r"lacks \[CLS\], \[SEP\], \[MASK\]"):
        load_wordpiece(tmp_path)


def test_settings_that_cannot_hold_are_named():
    with pytest.raises(ValueError, match="no text to count"):
        train_wordpiece(["", "  "], size=30)
    with pytest.raises(ValueError, match="size 6 is too small for 9"):
        train_wordpiece(["ab"], size=6)
    with pytest.raises(ValueError, match="context_length is 1"):
        tokenize(texts("a"), train_wordpiece(["a"], size=30), context_length=1)
