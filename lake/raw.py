"""Versions of raw files, cheap enough to ask at every run.

A file is hashed once and remembered by size and time of change. A release's own list of checksums is read here, but not
believed: a file may have been changed on purpose, and its time says nothing where a tree was copied.
"""

import functools
import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from os import stat_result
from pathlib import Path

from lake.files import canonical_json, locked, sha256_file, write_atomic
from lake.fingerprints import short_hash

SUMS = "SHA256SUMS.txt"
_OF_A_PATIENT = re.compile(r"[a-z]{0,8}\d", re.IGNORECASE)
"""How a part of a path begins that numbers a patient, study or film: p10000032, s50414267.txt, patient00001, 7.xml."""
FRESH_SECONDS = 2.0  # a file this new could change again within one tick of its clock

Notes = dict[str, list[int | str]]  # path below the root: bytes, time of change in ns, sha256


def raw_version(paths: Iterable[Path], *, root: Path, home: Path) -> str:
    """The version of a group of raw files, 16 hex digits: their names below the root and their content.

    Args:
        paths: files below `root`, in any order.
        root: the release's folder.
        home: the lake's home, where digests are remembered.

    Raises:
        ValueError: a file is not there.
    """
    ordered = sorted(paths)
    names = [path.relative_to(root).as_posix() for path in ordered]
    digests = _digests(ordered, names, root, home)
    return short_hash(canonical_json(list(zip(names, digests, strict=True))))


def file_digest(path: Path, *, root: Path, home: Path) -> str:
    """The sha256 of one raw file below the root, in hex, read from it only when it must be.

    Raises:
        ValueError: the file is not there.
    """
    return _digests([path], [path.relative_to(root).as_posix()], root, home)[0]


def noted_digest(path: Path, *, root: Path, home: Path) -> str | None:
    """The sha256 of one raw file where it is remembered and the file has the same size and time; else None."""
    name = path.relative_to(root).as_posix()
    return _noted_digest(_read_notes(_note_of(root, home)), name, path.stat())


def _note_of(root: Path, home: Path) -> Path:
    return home / "digests" / f"{short_hash(str(root.resolve()))}.json"


def _digests(paths: Sequence[Path], names: Sequence[str], root: Path, home: Path) -> list[str]:
    note = _note_of(root, home)
    noted = _read_notes(note)
    added: Notes = {}
    digests = []
    for path, name in zip(paths, names, strict=True):
        status = _stat(path, root)
        digest = _noted_digest(noted, name, status)
        if digest is None:
            digest = _hashed(path, root)
            added[name] = [status.st_size, status.st_mtime_ns, digest]
        digests.append(digest)
    _add_notes(note, added)
    return digests


def _stat(path: Path, root: Path) -> stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise unreadable(path, root, error) from None


def _hashed(path: Path, root: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise unreadable(path, root, error) from None


def unreadable(path: Path, root: Path, error: OSError) -> ValueError:
    """Return what to raise, from None, where a raw file cannot be read: the system's own message names it in full."""
    return ValueError(
        f"raw file {shown(path, root=root)} cannot be read ({error.strerror}); check the variable that names {root}, "
        f"and what this prints: find {root} -type f ! -readable"
    )


def shown(path: Path, *, root: Path) -> str:
    """Return a raw file as messages name it: its path, cut before the first part that numbers a patient or study."""
    kept = root
    for part in path.relative_to(root).parts:
        if _OF_A_PATIENT.match(part):
            return f"{kept}/..."
        kept /= part
    return str(kept)


def listed_digest(path: Path, *, root: Path) -> str | None:
    """The digest that the nearest checksum list up to the root gives a file; None if that list does not name it.

    Raises:
        ValueError: the list is not one.
    """
    sums = _nearest_list(path, root)
    if sums is None:
        return None
    status = sums.stat()
    return _read_sums(sums, status.st_mtime_ns, status.st_size).get(path.relative_to(sums.parent).as_posix())


def listed_at(path: Path, *, root: Path) -> str:
    """Return the list that names a file and the line where it does, for messages."""
    sums = _nearest_list(path, root)
    assert sums is not None
    name = path.relative_to(sums.parent).as_posix()
    lines = sums.read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(lines, start=1) if _parsed(line)[1] == name]
    return f"{sums}, line {found[-1]}"


def _nearest_list(path: Path, root: Path) -> Path | None:
    folders = (folder for folder in path.parents if folder == root or root in folder.parents)
    return next((folder / SUMS for folder in folders if (folder / SUMS).is_file()), None)


@functools.lru_cache(maxsize=32)
def _read_sums(path: Path, mtime_ns: int, num_bytes: int) -> dict[str, str]:
    """A checksum list as sha256sum writes it: digest, blank, blank or star, path."""
    digests = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        digest, name = _parsed(line)
        if len(digest) != hashlib.sha256().digest_size * 2 or not name:
            raise ValueError(
                f"{path}, line {number}: expected '<sha256>  <path>', found something else; download it again"
            )
        digests[name] = digest
    return digests


def _parsed(line: str) -> tuple[str, str]:
    digest, _, name = line.partition(" ")
    return digest.lower(), name.strip().removeprefix("*").removeprefix("./")


def _noted_digest(notes: Mapping[str, list[int | str]], name: str, status: stat_result) -> str | None:
    num_bytes, mtime_ns, digest = notes.get(name, [-1, -1, ""])
    return str(digest) if (num_bytes, mtime_ns) == (status.st_size, status.st_mtime_ns) else None


def _add_notes(path: Path, added: Notes) -> None:
    """Remember digests, but not of files that may change again without showing it."""
    settled = time.time_ns() - int(FRESH_SECONDS * 1e9)
    kept = {name: note for name, note in added.items() if int(note[1]) < settled}
    if kept:
        with locked(path.parent / ".lock"):
            write_atomic(path, canonical_json({**_read_notes(path), **kept}))


def _read_notes(path: Path) -> Notes:
    if not path.exists():
        return {}
    status = path.stat()
    return _parse_notes(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=32)
def _parse_notes(path: Path, mtime_ns: int, num_bytes: int) -> Notes:
    return dict(json.loads(path.read_text(encoding="utf-8")))
