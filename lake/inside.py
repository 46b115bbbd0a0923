"""What counts as a file of a release: paths that lists name must stay below its root, links included.

A link directly in the root to a folder elsewhere is the user's own arrangement (`files` on another disk) and is
followed; a link further down that leaves the root is not.
"""

import os
from pathlib import Path, PurePosixPath

LINK = "a link that leaves the root"


class OutsideRootError(ValueError):
    """A listed path that leads out of the root; the message is the reason, without the path."""


def safe_path(path: str | None) -> PurePosixPath | None:
    """Return a listed path if its text stays below the root, else None."""
    text = (path or "").strip().replace("\\", "/")
    pure = PurePosixPath(text)
    inside = pure.parts and not pure.is_absolute() and ".." not in pure.parts and ":" not in pure.parts[0]
    return pure if inside and "\0" not in text else None


class Inside:
    """Finds listed files below a root; folders that it has looked at are remembered.

    Args:
        root: the folder of a release.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._allowed = (self._root, *(os.path.realpath(link) for link in _linked_folders(self._root)))
        self._folders: dict[str, bool] = {}

    def file(self, listed: str | PurePosixPath | None) -> str:
        """Return the full path of a listed file, which need not be there.

        Raises:
            OutsideRootError: the path, or a link on it, leads out of the root.
        """
        pure = safe_path(str(listed) if listed is not None else None)
        if pure is None:
            raise OutsideRootError("outside the root")
        folder = self._root
        for part in pure.parts[:-1]:
            folder = f"{folder}/{part}"
            leaves = self._folders.get(folder)
            if leaves is None:
                leaves = self._folders[folder] = self._leaves(folder)
            if leaves:
                raise OutsideRootError(LINK)
        full = f"{folder}/{pure.name}"
        if self._leaves(full):
            raise OutsideRootError(LINK)
        return full

    def _leaves(self, path: str) -> bool:
        return os.path.islink(path) and not self._is_allowed(os.path.realpath(path))  # noqa: PTH114 - 377,110 films

    def _is_allowed(self, real: str) -> bool:
        return any(real == folder or real.startswith(f"{folder}/") for folder in self._allowed)


def _linked_folders(root: str) -> list[str]:
    if not Path(root).is_dir():
        return []
    with os.scandir(root) as entries:
        return sorted(entry.path for entry in entries if entry.is_symlink() and entry.is_dir())
