"""Versions of raw files, cheap enough to ask at every run.

A release's own checksum list is believed for a file that has not been touched since the list was written; anything else
is hashed once and remembered by size and time of change.
"""

import functools
import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path

from lake.files import canonical_json, locked, sha256_file, write_atomic
from lake.fingerprints import short_hash

SUMS = "SHA256SUMS.txt"
FRESH_SECONDS = 2.0  # a file this new could change again within one tick of its clock


def raw_version(paths: Iterable[Path], *, root: Path, home: Path) -> str:
    """The version of a group of raw files, 16 hex digits: their names below the root and their content.

    Args:
        paths: files below `root`, in any order.
        root: the release's folder.
        home: the lake's home, where digests are remembered.

    Raises:
        ValueError: a file is not there.
    """
    named = sorted((path.relative_to(root).as_posix(), file_digest(path, root=root, home=home)) for path in paths)
    return short_hash(canonical_json(named))


def file_digest(path: Path, *, root: Path, home: Path) -> str:
    """The sha256 of one raw file, in hex, read from it only when it must be.

    Raises:
        ValueError: the file is not there.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ValueError(
            f"raw file {path} cannot be read: {error.strerror}; check the variable that names {root}"
        ) from error
    listed = _listed_digest(path, root, status.st_mtime_ns)
    return listed or _remembered_digest(path.resolve(), status.st_size, status.st_mtime_ns, home)


def _listed_digest(path: Path, root: Path, mtime_ns: int) -> str | None:
    """The digest in the nearest checksum list up to the root; None if the file is newer than the list."""
    folders = [folder for folder in path.parents if folder == root or root in folder.parents]
    for folder in folders:
        sums = folder / SUMS
        if sums.is_file():
            status = sums.stat()
            digests = _read_sums(sums, status.st_mtime_ns, status.st_size)
            return digests.get(path.relative_to(folder).as_posix()) if mtime_ns <= status.st_mtime_ns else None
    return None


@functools.lru_cache(maxsize=32)
def _read_sums(path: Path, mtime_ns: int, num_bytes: int) -> dict[str, str]:
    """A checksum list as sha256sum writes it: digest, blank, blank or star, path."""
    digests = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        digest, _, name = line.partition(" ")
        if len(digest) != hashlib.sha256().digest_size * 2 or not name.strip():
            raise ValueError(
                f"{path}, line {number}: expected '<sha256>  <path>', found {line[:80]!r}; download it again"
            )
        digests[name.strip().removeprefix("*").removeprefix("./")] = digest.lower()
    return digests


def _remembered_digest(path: Path, num_bytes: int, mtime_ns: int, home: Path) -> str:
    """Hash a file unless a note says what it had at this size and time."""
    note = home / "digests" / f"{short_hash(str(path))}.json"
    known = {"path": str(path), "num_bytes": num_bytes, "mtime_ns": mtime_ns}
    if note.exists():
        noted = json.loads(note.read_text(encoding="utf-8"))
        if {name: noted.get(name) for name in known} == known:
            return str(noted["sha256"])
    digest = sha256_file(path)
    if time.time() - mtime_ns / 1e9 > FRESH_SECONDS:
        with locked(note.parent / ".lock"):
            write_atomic(note, canonical_json({**known, "sha256": digest}))
    return digest
