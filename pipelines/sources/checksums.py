"""Compares the files of a release with its `SHA256SUMS.txt`: all of them, those that changed since, or none.

Does not belong here: versions of raw files (`lake.raw`, which never believes the list), and which files a table reads.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from lake import sha256_file, short_hash, write_atomic
from lake.files import canonical_json, locked
from lake.raw import FRESH_SECONDS, SUMS, listed_at, listed_digest, noted_digest, shown, unreadable
from pipelines.sources.refusals import SourceError

Mode = Literal["all", "changed", "off"]
MODES: tuple[Mode, ...] = ("all", "changed", "off")

_Verified = dict[str, list[int | str]]  # path below the root: bytes, time of change in ns, sha256 as listed


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was compared.

    Attributes:
        num_hashed: files that were read and are as listed.
        num_unchanged: files that were as listed before and have not changed since.
        num_unlisted: files that no list names: unpacked by the user, or of a tree without a list.
    """

    num_hashed: int = 0
    num_unchanged: int = 0
    num_unlisted: int = 0


def check_sums(
    files: Iterable[Path],
    *,
    root: Path,
    home: Path,
    mode: Mode,
    digest: Callable[[Path], str] | None = None,
) -> Checked:
    """Compare files with the nearest checksum list up to their root.

    Args:
        files: files below `root`.
        root: the release's folder.
        home: the lake's home, where it is remembered which file, of which size and time of change, was as listed.
        mode: `all` reads every listed file; `changed` only those that are new, or changed since they were found as
            listed, or listed otherwise now; `off` reads nothing.
        digest: sha256 of a file's bytes, in hex; by default what `lake.raw` remembers of it, read again for `all`.

    Raises:
        SourceError: a file is not as listed, or the list is not one.
    """
    if mode not in MODES:
        raise ValueError(f"checksums are to be checked {mode!r}: choose one of {', '.join(MODES)}")
    if mode == "off":
        return Checked()
    note = home / "checksums" / f"{short_hash(str(root.resolve()))}.json"
    verified = _read(note)
    if digest is None:
        digest = sha256_file if mode == "all" else partial(_remembered, root=root, home=home)
    added: _Verified = {}
    counts = {"num_hashed": 0, "num_unchanged": 0, "num_unlisted": 0}
    try:
        for path in sorted(files):
            counts[_check(path, root, digest, verified if mode == "changed" else {}, added)] += 1
    finally:
        _remember(note, added)
    return Checked(**counts)


def _check(
    path: Path, root: Path, digest: Callable[[Path], str], verified: Mapping[str, list[int | str]], added: _Verified
) -> str:
    expected = _expected(path, root)
    if expected is None:
        return "num_unlisted"
    name = path.relative_to(root).as_posix()
    try:
        status = path.stat()
        seen: list[int | str] = [status.st_size, status.st_mtime_ns, expected]
        if verified.get(name) == seen:
            return "num_unchanged"
        found = digest(path)
    except OSError as error:
        raise SourceError(str(unreadable(path, root, error))) from None
    if found != expected:
        raise SourceError(
            f"{shown(path, root=root)} is not as {listed_at(path, root=root)}, lists it: expected {expected}, "
            f"found {found} ({status.st_size} bytes); download it again, or set MEDCSP_CHECKSUMS=off if you changed it "
            "on purpose"
        )
    added[name] = seen
    return "num_hashed"


def _remembered(path: Path, *, root: Path, home: Path) -> str:
    """Return the digest that the file's version was made of a moment ago, so that it is not read twice."""
    return noted_digest(path, root=root, home=home) or sha256_file(path)


def _expected(path: Path, root: Path) -> str | None:
    try:
        return listed_digest(path, root=root)
    except UnicodeDecodeError as error:
        raise SourceError(f"{root}: {SUMS} is not text; download it again") from error
    except ValueError as error:
        raise SourceError(str(error)) from error


def _read(note: Path) -> _Verified:
    return dict(json.loads(note.read_text(encoding="utf-8"))) if note.exists() else {}


def _remember(note: Path, added: _Verified) -> None:
    """Remember what was as listed, but not of files that may change again without showing it."""
    settled = time.time_ns() - int(FRESH_SECONDS * 1e9)
    kept = {name: seen for name, seen in added.items() if int(seen[1]) < settled}
    if kept:
        with locked(note.parent / ".lock"):
            write_atomic(note, canonical_json({**_read(note), **kept}))
