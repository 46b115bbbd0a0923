"""Which release lies below a root, told from its structure: files, columns, and where these are equal, from its data.

How a source declares its releases: `Source(releases=(Release(name="2.2", columns={file: (columns,)}, ...), ...))`.
`detect_release(source, root)` returns the name for the manifest of every table, such as "3.1", or "3.0 or 3.1" where
nothing tells two releases of one structure apart. Then the name of the root's folder (`mimic-iv-3.1`, `mimiciv/3.1`)
and the release's change log are asked, and believed only about candidates that structure and data admit.

Does not belong here: reading tables. A tree whose structure is that of no known release is refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.sources.csv_files import read_header
from pipelines.sources.files_below import find_below
from pipelines.sources.refusals import SourceError

if TYPE_CHECKING:
    from pipelines.sources.raw_table import Source

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


def detect_release(source: "Source", root: Path) -> str:
    """Return the release that lies below a root; several names joined by "or" where they cannot be told apart.

    Args:
        source: its `releases` are the known ones; none declared gives an empty text.
        root: the folder that the source's variable names.

    Raises:
        SourceError: the structure is that of no known release (what the nearest one needs is listed), or a header
            cannot be read.
    """
    if not source.releases:
        return ""
    if not root.is_dir():
        raise SourceError(f"{source.variable}={root} is not a folder: set it to the folder of the release")
    lacks = {release.name: release.lacks(root) for release in source.releases}
    fitting = [release for release in source.releases if not lacks[release.name]]
    if not fitting:
        nearest = min(source.releases, key=lambda release: len(lacks[release.name]))
        raise SourceError(
            f"{source.variable}={root} is no known release of {source.name} ({', '.join(lacks)}); "
            f"{nearest.name} is nearest, and lacks {'; '.join(lacks[nearest.name])}; {source.where}"
        )
    shown = [release for release in fitting if release.look is None or release.look(root)]
    if not shown:
        signs = "; ".join(f"{release.name}: {release.sign}" for release in fitting)
        raise SourceError(
            f"{source.variable}={root} is no known release of {source.name}: "
            f"its files are those of one, but none of these holds: {signs}; {source.where}"
        )
    names = [release.name for release in shown]
    return (named_release(root, names) or " or ".join(names)) if names[1:] else names[0]


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
