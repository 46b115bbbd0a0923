"""Text of notes and reports as the model reads it. Turning text into tokens is in `tokens`."""

from typing import Literal, get_args

ReportText = Literal["full"]


def report_text(text: str, choice: ReportText = "full") -> str:
    """Return the part of a radiology report that the model reads, whitespace folded to single blanks.

    Args:
        text: the report file.
        choice: `full`, the whole report, as the paper uses it.

    Returns:
        The text, empty if the report is blank.

    Raises:
        ValueError: an unknown choice.
    """
    if choice not in get_args(ReportText):
        raise ValueError(f"report_text is {choice!r}; choose from {', '.join(get_args(ReportText))}")
    return " ".join(text.split())
