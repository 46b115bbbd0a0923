"""Finds the files of a release below its root: compressed or plain, names in any case, never through a link outside.

Does not belong here: which files a table needs (`raw_table`) and what tells releases apart (`releases`).
"""

from pathlib import Path

from lake.inside import Inside, OutsideRootError
from pipelines.sources.refusals import SourceError


def file_names(file: str) -> tuple[str, ...]:
    """Return the paths under which a file may lie: compressed first, then plain."""
    return (file, file.removesuffix(".gz")) if file.endswith(".csv.gz") else (file,)


def find_below(root: Path, file: str) -> Path | None:
    """Return the first of a file's names that exists below the root, letters in any case; None if there is none.

    Raises:
        SourceError: the file lies outside the root through a link.
    """
    for name in file_names(file):
        found: Path | None = root
        for part in Path(name).parts:
            found = found and _child(found, part)
        if found is not None and found.is_file():
            _require_inside(root, found)
            return found
    return None


def _child(folder: Path, name: str) -> Path | None:
    if (folder / name).exists():
        return folder / name
    if not folder.is_dir():
        return None
    return min((path for path in folder.iterdir() if path.name.lower() == name.lower()), default=None)


def _require_inside(root: Path, path: Path) -> None:
    try:
        Inside(root).file(path.relative_to(root).as_posix())
    except OutsideRootError as error:
        raise SourceError(
            f"{path} is {error} {root}: put the file itself there, or link its whole folder directly below the root"
        ) from error
