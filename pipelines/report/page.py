"""Renders pages: each one file that needs no other, with links to the rest of the site. Not here: what a page says."""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from pipelines.report.charts import draw
from pipelines.report.content import Fold, KeyNumber, Part, Section, Table
from pipelines.report.formats import maths, release

FOLDER = Path(__file__).resolve().parent / "templates"
TEMPLATES = tuple(sorted(path for path in FOLDER.iterdir() if path.is_file()))
"""Files that pages are rendered with: part of the code version of whatever publishes them."""
AGGREGATES = "Aggregates only: no text, image or identifier of a patient is on this page."
_TO_ANCHOR = re.compile(r'href="#([^"]+)"')


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of the site.

    Attributes:
        file: its name below the report's folder.
        title: its heading, and its name on the other pages.
        lead: what is on it, for the first page's list.
        sections: from top to bottom.
        key_numbers: for its head.
        holds: what of patients is on it.
    """

    file: str
    title: str
    lead: str
    sections: tuple[Section, ...]
    key_numbers: tuple[KeyNumber, ...] = ()
    holds: str = AGGREGATES


def render(
    pages: Sequence[Page],
    *,
    profile_name: str,
    synthetic_sources: Sequence[str],
    absent_sources: Mapping[str, str],
    engines: Mapping[str, str],
) -> dict[str, str]:
    """Return the HTML of every page by its file; a link to what stands on another page leads there."""
    anchors = {page.file: set(_anchors(page)) for page in pages}
    where = {anchor: file for file, found in anchors.items() for anchor in found}
    template = _environment().get_template("page.html.j2")
    html = {}
    for page in pages:
        text = template.render(
            page=page,
            pages=pages,
            profile=profile_name,
            synthetic_sources=sorted(synthetic_sources),
            absent_sources=dict(sorted(absent_sources.items())),
            engines=engines,
            draw=draw,
        )
        html[page.file] = _across(text, own=anchors[page.file], where=where)
    return html


def _across(html: str, *, own: set[str], where: Mapping[str, str]) -> str:
    """Put the page before every anchor that lies on another one."""

    def target(found: re.Match[str]) -> str:
        anchor = found[1]
        return found[0] if anchor in own or anchor not in where else f'href="{where[anchor]}#{anchor}"'

    return _TO_ANCHOR.sub(target, html)


def _anchors(page: Page) -> Iterator[str]:
    for section in page.sections:
        yield section.name
        for band in section.bands:
            yield from _of_parts(band)


def _of_parts(parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Table):
            yield from (anchor for anchor in (part.anchor, *(row.anchor for row in part.rows)) if anchor)
        elif isinstance(part, Fold):
            for band in part.bands:
                yield from _of_parts(band)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(maths=maths, release=release)
    return environment
