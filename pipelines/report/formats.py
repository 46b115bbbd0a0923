"""Numbers in words: thousands separators, shares, intervals. Nothing here knows what the number means."""

import re
from collections.abc import Sequence

import markupsafe

NONE = "–"
RELEASES = {
    "mimic_iv": "MIMIC-IV",
    "mimic_iv_note": "MIMIC-IV-Note",
    "mimic_cxr": "MIMIC-CXR",
    "mimic_cxr_jpg": "MIMIC-CXR-JPG",
    "mimic_iii": "MIMIC-III",
    "mimic_iii_carevue": "MIMIC-III CareVue",
    "open_i": "Open-I",
    "covid19": "COVID-19 Radiography",
    "chexpert": "CheXpert",
}
_SUBSCRIPT = re.compile(r"\b([Lλ])_([A-Z])\b")


def count(value: int) -> str:
    """`12345` as `12,345`."""
    return f"{value:,}"


def decimal(value: float, places: int = 1) -> str:
    """A number with a fixed number of places and thousands separators."""
    return f"{value:,.{places}f}"


def plain(value: float, most: int = 2) -> str:
    """A number with as many places as it needs, and no more than so many: `3`, `3.5`, `0.25`."""
    return f"{value:,.{most}f}".rstrip("0").rstrip(".")


def percent(share: float, places: int = 1) -> str:
    """A share as a percentage: `0.1234` as `12.3 %`."""
    return f"{100 * share:,.{places}f} %"


def ratio(part: int, whole: int) -> str:
    """A part of a whole as a percentage; a dash of nothing."""
    return percent(part / whole) if whole else NONE


def interval(low: float | None, high: float | None, places: int = 1) -> str:
    """The two ends of an interval of shares as percentages, without the sign; empty where there is none.

    Ends below zero stand apart from the dash: `−21.0 to 34.2`.
    """
    if low is None or high is None:
        return ""
    ends = (true_minus(f"{100 * end:.{places}f}") for end in (low, high))
    return (" to " if min(low, high) < 0 else "–").join(ends)


def true_minus(number: str) -> str:
    """A written number with a true minus sign: `-0.5` as `−0.5`."""
    return number.replace("-", "−")


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return float(ordered[middle]) if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def duration(seconds: float) -> str:
    """Seconds in words: `0.4 s`, `75.0 s`, `12 min 3 s`, `2 h 5 min`."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def digest(value: str, length: int = 12) -> str:
    """The head of a digest, enough to recognise it."""
    return value[:length]


def maths(text: str) -> markupsafe.Markup:
    """Text for HTML, escaped, in which `L_A` and the like have a subscript."""
    return markupsafe.Markup(_SUBSCRIPT.sub(r"\1<sub>\2</sub>", str(markupsafe.escape(text))))  # noqa: S704


def capital(words: str) -> str:
    """Words with a capital in front, the rest as it is."""
    return words[:1].upper() + words[1:]


def release(name: str) -> str:
    """The name of a source as its publisher writes it: `mimic_cxr` as `MIMIC-CXR`."""
    return RELEASES.get(name, name)
