"""Text of reports as the model reads it: the whole report or a section. Turning it into tokens is in `tokens`.

A section begins with one of the headers below, in capitals at the beginning of a line, and ends where the next of them
begins. Other words in capitals before a colon (LUNGS:, AP CHEST:) are text: findings are often written by organ.
"""

import re
from typing import Literal, get_args

import polars as pl

ReportText = Literal["full", "impression", "findings", "last_paragraph", "comparison"]
CHAIN: tuple[ReportText, ...] = ("impression", "findings", "last_paragraph", "comparison", "full")
"""What a report without the wanted section gives instead: the first of these that it has."""

HEADERS = {
    "impression": ("IMPRESSION", "IMPRESSIONS", "CONCLUSION", "CONCLUSIONS"),
    "findings": ("FINDINGS", "FINDING"),
    "both": ("FINDINGS AND IMPRESSION", "FINDINGS/IMPRESSION", "IMPRESSION AND FINDINGS", "IMPRESSION/FINDINGS"),
    "comparison": ("COMPARISON", "COMPARISONS", "COMPARISON STUDY", "COMPARISON STUDIES"),
    "other": (
        *("EXAM", "EXAMINATION", "STUDY", "PROCEDURE", "TYPE OF EXAMINATION", "INDICATION", "INDICATIONS", "HISTORY"),
        *("CLINICAL HISTORY", "CLINICAL INFORMATION", "CLINICAL INDICATION", "INDICATION AND HISTORY"),
        *("REASON FOR EXAM", "REASON FOR EXAMINATION", "REASON FOR THE EXAM", "REASON FOR STUDY"),
        *("TECHNIQUE", "WET READ", "FINAL REPORT", "ADDENDUM", "NOTIFICATION", "NOTIFICATIONS", "DIAGNOSIS"),
        *("RECOMMENDATION", "RECOMMENDATIONS", "RECOMMENDATION(S)"),
    ),
}
"""Headers by what they open; `both` opens findings and impression at once."""

_MARK, _END = "\x1e", "\x1f"
_LETTERS = {"both": "b", "comparison": "c", "findings": "f", "impression": "i", "other": "o"}


def choose_report_text(reports: pl.LazyFrame, choice: ReportText = "full") -> pl.LazyFrame:
    """Take the part of each report that the model reads.

    Args:
        reports: a column `text`; other columns pass through.
        choice: `full`, the report as it is; or a section, else what comes first in `CHAIN` among those it has. The last
            of several sections of one name counts, and empty ones do not. `last_paragraph` is what follows the last
            blank line.

    Returns:
        The same rows; `section` says what `text` is, `is_fall_back` that it is not what was wanted. In sections, white
        space is folded to single blanks.

    Raises:
        ValueError: an unknown choice.
    """
    if choice not in get_args(ReportText):
        raise ValueError(f"report_text is {choice!r}; choose from {', '.join(get_args(ReportText))}")
    if choice == "full":
        return reports.with_columns(section=pl.lit("full"), is_fall_back=pl.lit(False))
    order = list(dict.fromkeys((choice, *CHAIN)))
    found = {
        "impression": _last_section("ib"),
        "findings": _last_section("fb"),
        "comparison": _last_section("c"),
        "last_paragraph": _last_paragraph(),
        "full": _folded(pl.col("text")),
    }
    return (
        reports.with_columns(_parts=_parts())
        .with_columns(**{f"_{name}": _or_null(found[name]) for name in order})
        .with_columns(
            section=pl.coalesce(
                *(pl.when(pl.col(f"_{name}").is_not_null()).then(pl.lit(name)) for name in order), pl.lit("full")
            ),
            text=pl.coalesce(*(f"_{name}" for name in order), pl.lit("")),
        )
        .with_columns(is_fall_back=pl.col("section") != choice)
        .drop("_parts", *(f"_{name}" for name in order))
    )


def _parts() -> pl.Expr:
    """Split a report before every header; each part but the first begins with the letter of its section and a mark."""
    text = _without_marks()
    for name, letter in _LETTERS.items():
        text = text.str.replace_all(_header(HEADERS[name]), f"\n{_END}{letter}{_MARK}")
    return text.str.split(_END)


def _header(names: tuple[str, ...]) -> str:
    return r"(?m)^[ \t]*(?:" + "|".join(re.escape(name) for name in names) + r")[ \t]*:"


def _last_section(letters: str) -> pl.Expr:
    wanted = pl.element().str.contains(f"^[{letters}]{_MARK}\\s*\\S")
    return _folded(pl.col("_parts").list.eval(pl.element().filter(wanted)).list.last().str.slice(2))


def _last_paragraph() -> pl.Expr:
    paragraphs = _without_marks().str.strip_chars().str.replace_all(r"\n[ \t]*\n\s*", _END).str.split(_END)
    every = tuple(name for names in HEADERS.values() for name in names)
    return _folded(paragraphs.list.last().str.replace(_header(every), ""))


def _without_marks() -> pl.Expr:
    return pl.col("text").str.replace_all(f"[{_MARK}{_END}]", " ")


def _folded(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"\s+", " ").str.strip_chars()


def _or_null(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)
