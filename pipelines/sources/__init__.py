"""Raw sources: which files a release holds, and how each becomes a typed frame.

Belongs here: file discovery, parsing, typing by contract, and the reason why a row could not be typed. Does not:
anything that joins two tables (`sql/`), and Dagster (`pipelines.assets`).
"""

from pipelines.sources import (
    chexpert,
    covid19,
    mimic_cxr,
    mimic_cxr_jpg,
    mimic_iii,
    mimic_iii_carevue,
    mimic_iv,
    mimic_iv_note,
    open_i,
)
from pipelines.sources.films import Films
from pipelines.sources.raw_table import RawTable, Source
from pipelines.sources.refusals import SourceError
from pipelines.sources.release_detection import detect_release
from pipelines.sources.releases import Release

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        mimic_iv.SOURCE,
        mimic_iv_note.SOURCE,
        mimic_iii.SOURCE,
        mimic_iii_carevue.SOURCE,
        mimic_cxr.SOURCE,
        mimic_cxr_jpg.SOURCE,
        open_i.SOURCE,
        covid19.SOURCE,
        chexpert.SOURCE,
    )
}
"""Every raw source by name."""

TABLES: dict[str, RawTable] = {table.table: table for source in SOURCES.values() for table in source.tables}
"""Every typed raw table by name."""

FILMS: dict[str, Films] = {name: source.films for name, source in SOURCES.items() if source.films is not None}
"""The films of every raw source that has any, by its name."""

__all__ = [
    "FILMS",
    "SOURCES",
    "TABLES",
    "Films",
    "RawTable",
    "Release",
    "Source",
    "SourceError",
    "detect_release",
]
