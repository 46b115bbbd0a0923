"""What a source with X-ray films says of them, so that they become records beside those of every other source."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

JPG = "_jpg"
"""A source of this ending holds the films of the source before it as JPG files."""


@dataclass(frozen=True, kw_only=True)
class Films:
    """The films of a source as records.

    Attributes:
        source: what their records are called in cohorts, links and corpora.
        table: the films with the columns of `cxr_records`, made by `sql/records/<table>.sql`.
        texts: a table with the text of every report by study; made by `sql/records/<texts>.sql` unless it is typed raw.
            Empty: a release of labelled films without reports, which are classified and never searched.
        listed_in: raw table that names the films.
        paths: lists every film below a root.
        first_id: added to the release's own numbers of subjects and studies, where they are not unique by themselves.
    """

    source: str
    table: str
    texts: str
    listed_in: str
    paths: Callable[[Path], list[str]]
    first_id: int = 0
