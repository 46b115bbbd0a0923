"""What may go: versions nobody needs, and what killed runs left; and what must be intact: `verify`.

A version stays while it is current, pinned by a live reader, or was current within the grace; a reader that opened the
catalogue just before a publish is in the last group. The manifests of versions that go stay readable in `history/`.
"""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from lake.files import locked_if_free, sha256_file
from lake.manifest import CURRENT, Manifest, parse_manifest, read_manifest
from lake.publish import content_hash
from lake.runs import unneeded_runs
from lake.store import Lake

DAY_SECONDS = 86_400.0
_VERSION = re.compile(r"[0-9a-f]{16}")


def collect(lake: Lake, *, grace_days: float = 1.0, dry_run: bool = False, runs: bool = False) -> list[Path]:
    """Delete what may go, and say what it was.

    Args:
        lake: its tables' former versions, former rejects and scratch folders are looked at.
        grace_days: how long a version stays after it was last current, and scratch after it was last touched.
        dry_run: only say.
        runs: delete run folders too that nothing current needs, see `lake.runs`.
    """
    lake.refresh_catalogue()
    now = time.time()
    oldest = now - grace_days * DAY_SECONDS
    removed = []
    for current in sorted(lake.home.glob(f"lake/*/*/{CURRENT}")):
        with locked_if_free(current.parent / ".lock") as free:
            if free:  # else a publish is at work here, and the next gc will look
                removed += _remove(_garbage_of_table(current.parent, oldest), dry_run=dry_run)
    removed += _remove(_garbage_of_scratch(lake.home / "scratch", oldest), dry_run=dry_run)
    if runs:
        removed += _remove(iter(unneeded_runs(lake, oldest=oldest, now=now)), dry_run=dry_run)
    return removed


def verify(lake: Lake) -> list[str]:
    """Read every published byte again and say what does not fit its manifest; empty when all is well."""
    problems = []
    for name, manifest in lake.tables().items():
        found = list(_problems_of(lake, name, manifest))
        if not found and content_hash(manifest.columns, manifest.files) != manifest.version:
            found = [f"{name}: its manifest does not add up to version {manifest.version}; delete it and publish again"]
        problems += found
    return problems


def _problems_of(lake: Lake, name: str, manifest: Manifest) -> Iterator[str]:
    for path, file in zip(lake.files(name), manifest.files, strict=True):
        if not path.is_file():
            yield f"{name}: {path} is missing; publish again"
        elif sha256_file(path) != file.sha256:
            yield f"{name}: {path} is not what was published; delete it and publish again"


def _garbage_of_table(folder: Path, oldest: float) -> Iterator[Path]:
    """What may go of one table; its lock is held."""
    manifest = read_manifest(folder)
    assert manifest is not None
    staging = folder / ".staging"
    if staging.exists():
        yield staging
    last_current = _last_current(folder)
    pinned = set(_pinned_versions(folder / ".pins"))
    for path in sorted(folder.iterdir()):
        version = path.name
        if not _VERSION.fullmatch(version) or version == manifest.version or version in pinned:
            continue
        if max(path.stat().st_mtime, last_current.get(version, 0.0)) < oldest:
            yield path
    for path in sorted((folder / "rejected").glob("*.parquet")):
        if not path.stem.startswith(manifest.fingerprint) and path.stat().st_mtime < oldest:
            yield path


def _last_current(folder: Path) -> dict[str, float]:
    """When each former version was replaced, as far as the history knows."""
    times: dict[str, float] = {}
    for path in (folder / "history").glob("*.json"):
        version = parse_manifest(path.read_text(encoding="utf-8"), path).version
        times[version] = max(times.get(version, 0.0), path.stat().st_mtime)
    return times


def _pinned_versions(pins: Path) -> Iterator[str]:
    """Versions that a live process holds; pins of dead ones are deleted."""
    for pin in sorted(pins.glob("*-*")):
        with locked_if_free(pin) as free:
            if free:
                pin.unlink(missing_ok=True)
            else:
                yield pin.name.partition("-")[0]


def _garbage_of_scratch(scratch: Path, oldest: float) -> Iterator[Path]:
    """Scratch folders, and what DuckDB spilled, that no live process holds and nothing touched lately."""
    for path in sorted(scratch.glob("*/*")):
        try:
            if path.suffix == ".lock" or path.stat().st_mtime >= oldest:
                continue
        except FileNotFoundError:  # its process has finished meanwhile
            continue
        lock = path.with_name(path.name + ".lock")
        if not lock.exists():
            yield path
            continue
        with locked_if_free(lock) as free:
            if free:
                yield path
                yield lock


def _remove(paths: Iterator[Path], *, dry_run: bool) -> list[Path]:
    removed = []
    for path in paths:
        removed.append(path)
        if dry_run:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return removed
