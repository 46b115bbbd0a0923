"""Reads the first sheet of an .xlsx workbook as text: a zip file of XML, of which plain cells are all we need."""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from pipelines.sources.refusals import SourceError
from pipelines.sources.zip_files import ZipMembers, open_zip

MAX_PART_BYTES = 64 << 20
SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
_NAMESPACE = re.compile(r"^\{[^}]*\}")


def read_sheet(path: Path, *, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows below the header row, column to text; empty cells and other columns are left out.

    Args:
        path: the workbook.
        columns: names in the header row, which may have letters in any case.

    Raises:
        SourceError: the file is no workbook, a part of it is damaged or too large, or a column is missing.
    """
    with open_zip(path) as members:
        sheet = _part(members, SHEET)
        if sheet is None:
            raise SourceError(f"{path}: holds no {SHEET}; it is not an .xlsx workbook")
        shared = [_text(item) for item in _all(_part(members, STRINGS), "si")]
    header, *rows = [_cells(row, shared, path) for row in _all(sheet, "row")] or [{}]
    places = {text.strip().lower(): place for place, text in header.items()}
    if missing := [name for name in columns if name.lower() not in places]:
        raise SourceError(
            f"{path}: needs the columns {', '.join(missing)}, which the header lacks; "
            f"found {', '.join(header.values()) or 'none'}"
        )
    wanted = {places[name.lower()]: name for name in columns}
    return [{wanted[place]: text for place, text in row.items() if place in wanted} for row in rows]


def _part(members: ZipMembers, name: str) -> ElementTree.Element | None:
    data = members.read(name, max_bytes=MAX_PART_BYTES)
    if data is None:
        return None
    if len(data) > MAX_PART_BYTES or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise SourceError(f"{members.path}: {name} inside it is too large or declares entities; download it again")
    try:
        return ElementTree.fromstring(data)  # noqa: S314 - without declarations there is nothing to expand
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise SourceError(f"{members.path}: {name} inside it is not XML ({error}); download it again") from error


def _all(tree: ElementTree.Element | None, tag: str) -> list[ElementTree.Element]:
    return [] if tree is None else [element for element in tree.iter() if _NAMESPACE.sub("", element.tag) == tag]


def _text(element: ElementTree.Element) -> str:
    return "".join(part.text or "" for part in _all(element, "t")).strip()


def _cells(row: ElementTree.Element, shared: list[str], path: Path) -> dict[str, str]:
    """Return column letters to text."""
    cells = {}
    for cell in _all(row, "c"):
        column = re.sub(r"\d", "", cell.get("r") or "")
        text = _text(cell) if cell.get("t") == "inlineStr" else "".join(part.text or "" for part in _all(cell, "v"))
        if cell.get("t") == "s":
            if not text.isdigit() or int(text) >= len(shared):
                raise SourceError(
                    f"{path}: cell {cell.get('r')} names a text that the workbook lacks; download it again"
                )
            text = shared[int(text)]
        if text:
            cells[column] = text
    return cells
