"""What a release is told by: files, columns, a sign in its data, the name of its folder, its change log.

How a source declares its releases: `Source(releases=(Release(name="2.2", columns={file: (columns,)}, ...), ...))`.
Does not belong here: which of them a tree is (`release_detection`), reading tables.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.sources.csv_files import read_header
from pipelines.sources.files_below import find_below

PAPERS = ("CHANGELOG.txt", "CHANGELOG.md", "CHANGELOG", "README.md", "README.txt", "README")
MAX_PAPER_BYTES = 1 << 16
NUM_FOLDER_NAMES = 2
OPEN_LICENCE = "Open Database License"


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release that a tree may be.

    Attributes:
        name: as the publisher numbers it, such as "2.2" or "demo 2.2".
        files: paths below the root that it holds (`find_below` finds them).
        columns: columns that the headers of CSV files must have, by path; letters in any case.
        structure: what else the tree lacks of it, in words; for folders, and files whose place is not fixed.
        sign: what in the data tells it from releases of the same structure, in words, for the refusal.
        look: whether the data shows that sign; asked only where the structure fits.
    """

    name: str
    files: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    structure: Callable[[Path], list[str]] | None = None
    sign: str = ""
    look: Callable[[Path], bool] | None = None

    def lacks(self, root: Path) -> list[str]:
        """Return what the tree lacks of this release's structure, in words; empty where it fits."""
        lacking = []
        for file in dict.fromkeys([*self.files, *self.columns]):
            path = find_below(root, file)
            if path is None:
                lacking.append(f"file {file}")
                continue
            wanted = self.columns.get(file, ())
            found = {name.lower() for name in read_header(path)} if wanted else set()
            if missing := [name for name in wanted if name.lower() not in found]:
                lacking.append(f"{'columns' if len(missing) > 1 else 'column'} {', '.join(missing)} of {path}")
        return [*lacking, *(self.structure(root) if self.structure is not None else [])]


def named_release(root: Path, names: list[str]) -> str:
    """Return which of some releases the root's folder, its change log or its readme names; empty where none does."""
    return _named_by_folder(root, names) or _named_by_papers(root, names)


def has_open_licence(root: Path) -> bool:
    """Return whether a tree comes with the open licence of the demos; the full releases are credentialed."""
    path = find_below(root, "LICENSE.txt")
    return path is not None and OPEN_LICENCE in _head(path)


def _named_by_folder(root: Path, names: list[str]) -> str:
    """Return the release that the folder names: its last version, as in `mimic-iv-3.1` or `mimiciv/3.1`."""
    for part in root.resolve().parts[: -NUM_FOLDER_NAMES - 1 : -1]:
        if found := re.search(r"(?:^|[-_ v])(\d+(?:\.\d+)+)$", part):
            return found[1] if found[1] in names else ""
    return ""


def _named_by_papers(root: Path, names: list[str]) -> str:
    """Return the release that the change log or the readme names first."""
    pattern = re.compile(rf"(?<![\w.])v?({'|'.join(re.escape(name) for name in names)})(?!\.?\w)")
    for paper in PAPERS:
        path = find_below(root, paper)
        if path is not None and (found := pattern.search(_head(path))):
            return found[1]
    return ""


def _head(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.read(MAX_PAPER_BYTES).decode("utf-8", errors="replace")
