"""Which part of a report the model reads, against a parser of another kind."""

import re
from typing import get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features.text import HEADERS, ReportText, choose_report_text

REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with cough

 COMPARISON:  ___.

 FINDINGS:

 LUNGS: clear. The
 heart is normal.

 IMPRESSION:

 1. No acute process.

 2. Old fracture.
"""
WITHOUT_HEADERS = "FINAL REPORT\n AP chest. Clear lungs.\n\n No pneumothorax.\n"


def chosen(text: str, choice: ReportText) -> tuple[str, str]:
    rows = choose_report_text(pl.LazyFrame({"study_id": [1], "text": [text]}), choice).collect()
    assert rows.columns == ["study_id", "text", "section", "is_fall_back"]
    assert rows["is_fall_back"].item() == (rows["section"].item() != choice)
    return rows["section"].item(), rows["text"].item()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("impression", "1. No acute process. 2. Old fracture."),
        ("findings", "LUNGS: clear. The heart is normal."),
        ("comparison", "___."),
        ("last_paragraph", "2. Old fracture."),
        ("full", REPORT),
    ],
)
def test_sections_of_a_report(choice, expected) -> None:
    assert chosen(REPORT, choice) == (choice, expected)


CHAINS = [
    (WITHOUT_HEADERS, "impression", "last_paragraph", "No pneumothorax."),
    (WITHOUT_HEADERS, "comparison", "last_paragraph", "No pneumothorax."),
    (" FINDINGS: clear\n IMPRESSION: \n", "impression", "findings", "clear"),
    (" IMPRESSION: clear", "findings", "impression", "clear"),
    (" IMPRESSION: clear", "comparison", "impression", "clear"),
    ("FINDINGS AND IMPRESSION: clear\nRECOMMENDATION(S): CT", "impression", "impression", "clear"),
    ("FINDINGS AND IMPRESSION: clear\nRECOMMENDATION(S): CT", "findings", "findings", "clear"),
    (" IMPRESSION: first\n ADDENDUM: read again\n IMPRESSION: second", "impression", "impression", "second"),
    (" IMPRESSION: kept\n IMPRESSION:\n", "impression", "impression", "kept"),
    ("No IMPRESSION: here\n\n IMPRESSIVE: too", "impression", "last_paragraph", "IMPRESSIVE: too"),
    ("a\x1eb\x1fc", "impression", "last_paragraph", "a b c"),
    (" \n ", "impression", "full", ""),
]
"""Report, what is wanted, what is given and its text."""


@pytest.mark.parametrize(("text", "choice", "section", "expected"), CHAINS)
def test_a_report_that_lacks_the_wanted_section_gives_the_next(text, choice, section, expected) -> None:
    assert chosen(text, choice) == (section, expected)


def test_an_unknown_choice_is_named() -> None:
    with pytest.raises(ValueError, match="report_text is 'best'; choose from full, impression"):
        choose_report_text(pl.LazyFrame({"text": ["x"]}), "best")


def last_section(text: str, kinds: tuple[str, ...]) -> str | None:
    """The last section with text of some kinds, found line by line."""
    kind_of = {name: kind for kind, names in HEADERS.items() for name in names}
    sections: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        header = re.match(r"[ \t]*([A-Z/() ]*[A-Z)])[ \t]*:", line)
        if header and header.group(1) in kind_of:
            sections.append((kind_of[header.group(1)], [line[header.end() :]]))
        elif sections:
            sections[-1][1].append(line)
    texts = [" ".join(" ".join(lines).split()) for kind, lines in sections if kind in kinds]
    return next((text for text in reversed(texts) if text), None)


LINES = st.sampled_from(
    [
        *("", " clear lungs", " IMPRESSION: ", "FINDINGS: no edema", " COMPARISON: none", " LUNGS: clear"),
        " TECHNIQUE: AP",
        " FINDINGS AND IMPRESSION: stable",
        "WET READ: ___",
        " see IMPRESSION: above",
        " RECOMMENDATION(S): CT",
        " IMPRESSION : new",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(LINES, max_size=8).map("\n".join), min_size=1, max_size=6))
def test_sections_are_those_of_a_parser_line_by_line(texts) -> None:
    wanted = {"impression": ("impression", "both"), "findings": ("findings", "both"), "comparison": ("comparison",)}
    for choice in get_args(ReportText):
        rows = choose_report_text(pl.LazyFrame({"text": texts}), choice).collect()
        if choice == "full":
            assert rows["text"].to_list() == texts
        for text, section, found in zip(texts, rows["section"], rows["text"], strict=True):
            if choice in wanted:
                assert (section == choice) == (last_section(text, wanted[choice]) is not None)
            if section in wanted:
                assert found == last_section(text, wanted[section])
