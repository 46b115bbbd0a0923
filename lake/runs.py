"""Run folders that may go: corpora, checkpoints and measurements that nothing current is or was made from.

A folder `runs/<table>/<fingerprint>` stays while its fingerprint is current, while something that stays was made from
it, as manifests and the settings of its process say, and within the grace. Work that was never published stays while it
could go on: everything that it reads is there for another reason, or a process holds a device. Folders `*_trials` stay:
their trainings are named by content and belong to no fingerprint.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from lake.files import locked_if_free
from lake.manifest import Manifest
from lake.store import Lake

HOUR_SECONDS = 3600.0
"""What is younger is perhaps being written, whatever the grace."""
MADE = "made:"
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_NAMED = re.compile(r"/runs/(\w+)/([0-9a-f]{16})\b")

Run = tuple[str, str]
"""A table and a fingerprint of it."""


def unneeded_runs(lake: Lake, *, oldest: float, now: float) -> list[Path]:
    """Return the run folders that may go.

    Args:
        lake: its home is looked at.
        oldest: what was current or touched since this time stays, in seconds of the clock.
        now: the time.
    """
    folders = _folders(lake.home / "runs")
    known, last_current = _known(lake)
    current = {(name, manifest.fingerprint) for name, manifest in lake.tables().items()}
    touched = {run: _touched(folder) for run, folder in folders.items()}
    young = {run for run in folders if max(touched[run], last_current.get(run, 0.0)) >= oldest}
    unpublished = folders.keys() - known.keys()
    written = {run for run in unpublished if touched[run] >= now - HOUR_SECONDS}
    kept = _with_needed(current | young | written, folders, known)
    begun = {run: named for run in unpublished if (named := _named(folders[run]) - {run})}
    if _is_device_held(lake.home):
        kept |= _with_needed(begun.keys(), folders, known)
    kept |= {run for run, named in begun.items() if named <= kept}
    return [folder for run, folder in folders.items() if run not in kept]


def _folders(runs: Path) -> dict[Run, Path]:
    found = sorted(path for path in runs.glob("*/*") if path.is_dir() and _FINGERPRINT.fullmatch(path.name))
    return {(path.parent.name, path.name): path for path in found if not path.parent.name.endswith("_trials")}


def _known(lake: Lake) -> tuple[dict[Run, Manifest], dict[Run, float]]:
    """Every manifest that was ever committed, the current one of a table last, and when each former was replaced."""
    known: dict[Run, Manifest] = {}
    replaced: dict[Run, float] = {}
    for name, manifest in lake.tables().items():
        for former in lake.history(name):
            run = name, former.fingerprint
            known[run] = former
            replaced[run] = lake.history_path(former).stat().st_mtime
        known.pop((name, manifest.fingerprint), None)
        known[name, manifest.fingerprint] = manifest
    return known, replaced


def _with_needed(runs: Iterable[Run], folders: dict[Run, Path], known: dict[Run, Manifest]) -> set[Run]:
    """These runs and all that they were made from."""
    of_version = {(table, manifest.version): (table, made) for (table, made), manifest in known.items()}
    needed: set[Run] = set()
    waiting = list(runs)
    while waiting:
        run = waiting.pop()
        if run in needed:
            continue
        needed.add(run)
        waiting += _named(folders[run]) if run in folders else ()
        for name, version in known[run].inputs.items() if run in known else ():
            is_made = name.startswith(MADE)
            found = (name.removeprefix(MADE), version) if is_made else of_version.get((name, version))
            waiting += [found] if found else []
    return needed


def _named(folder: Path) -> set[Run]:
    """The runs that the settings in a folder name: what its process was told to read."""
    return {run for path in folder.glob("*.json") for run in _runs_in(path.read_text(encoding="utf-8"))}


def _runs_in(text: str) -> Iterator[Run]:
    for found in _NAMED.finditer(text):
        if not found[1].endswith("_trials"):
            yield found[1], found[2]


def _touched(folder: Path) -> float:
    """When anything in a folder was last written; a training that goes on deletes its former states meanwhile."""
    times = [folder.stat().st_mtime]
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    return max(times)


def _is_device_held(home: Path) -> bool:
    for lock in (home / "locks").glob("device-*.lock"):
        with locked_if_free(lock) as free:
            if not free:
                return True
    return False
