"""Finds the files of a release below its root: compressed or plain, names in any case, never through a link outside.

Does not belong here: which files a table needs (`raw_table`) and what tells releases apart (`releases`).
"""

import functools
import logging
from pathlib import Path

from lake.inside import Inside, OutsideRootError
from pipelines.sources.refusals import SourceError

_LOG = logging.getLogger(__name__)


def file_names(file: str) -> tuple[str, ...]:
    """Return the paths under which a file may lie: compressed first, then plain."""
    return (file, file.removesuffix(".gz")) if file.endswith(".csv.gz") else (file,)


def find_below(root: Path, file: str) -> Path | None:
    """Return the first of a file's names that exists below the root, letters in any case; None if there is none.

    Where both names exist a warning says which file is read.

    Raises:
        SourceError: the file lies outside the root through a link.
    """
    found = [path for name in file_names(file) if (path := _below(root, name)) is not None]
    if not found:
        return None
    _require_inside(root, found[0])
    if found[1:]:
        _warn_of_two(*found)
    return found[0]


def _below(root: Path, name: str) -> Path | None:
    found: Path | None = root
    for part in Path(name).parts:
        found = found and _child(found, part)
    return found if found is not None and found.is_file() else None


@functools.cache
def _warn_of_two(read: Path, ignored: Path) -> None:
    """Say once a process which of two files is read: a release's folder may not be the reader's to tidy up."""
    _LOG.warning("%s is read; %s beside it is not: take away the one that is not meant", read, ignored.name)


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
