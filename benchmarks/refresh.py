"""A refresh after ten new studies against a run from scratch, in CPU time of the steps without Dagster's own.

The films are 3056 x 2544: hard links to a few bodies, so that thousands of them fit a disk; each is decoded like any
other. Usage: refresh [films] [home]; the home is a temporary folder by default. 5,000 films are the size to quote.

Prints one JSON object: films, `scratch_cpu_seconds`, `refresh_cpu_seconds`, `time_ratio`, films that the refresh added,
and the tables that it built again.
"""

import gzip
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import film
from pipelines import synthetic
from pipelines.assets.glue import build_and_publish
from pipelines.assets.graph import CPU_STEPS
from pipelines.resources import Sources, Workspace, workspace_from_environment
from pipelines.synthetic.settings import SyntheticSettings

HEIGHT, WIDTH = 3056, 2544
NUM_BODIES = 8
NUM_NEW_STUDIES = 10
FILMS_PER_SUBJECT = 2.5  # what the generator draws, about


def main() -> None:
    num_films = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as name:
        workspace = workspace_of(Path(sys.argv[2]) if len(sys.argv) > 2 else Path(name), num_films)
        synthetic.write_sources(workspace.home / "raw", settings=workspace.profile.synthetic or SyntheticSettings())
        tree = workspace.home / "raw" / "mimic-cxr"
        enlarge(sorted((tree / "files").rglob("*.dcm")), workspace.home)
        built, scratch = refresh(workspace)
        before = workspace.lake.scan("cxr_images").select("record_id").collect()
        print(f"from scratch: {len(built)} tables, {before.height} films, {scratch:.1f} CPU-s", flush=True)
        add_studies(workspace)
        built, again = refresh(workspace)
        after = workspace.lake.scan("cxr_images").select("record_id").collect()
    result = {
        "films": before.height,
        "new_films": after.height - before.height,
        "scratch_cpu_seconds": round(scratch, 2),
        "refresh_cpu_seconds": round(again, 2),
        "time_ratio": round(again / scratch, 4),
        "built": built,
    }
    print(json.dumps(result))


def workspace_of(home: Path, num_films: int) -> Workspace:
    """The demo's graph over a home of its own, MIMIC alone, with as many X-ray subjects as make the films."""
    workspace = workspace_from_environment({"MEDCSP_HOME": str(home), "MEDCSP_PROFILE": "demo"})
    num_subjects = int(num_films / FILMS_PER_SUBJECT)
    num_linked = min(120, num_subjects // 2)
    settings = SyntheticSettings(
        num_linked_subjects=num_linked, num_cxr_only_subjects=num_subjects - num_linked, image_size=64
    )
    images = replace(workspace.profile.images, num_processes=1)
    roots = {name: workspace.sources.roots[name] for name in settings.sources}
    return replace(
        workspace,
        profile=replace(workspace.profile, synthetic=settings, images=images),
        sources=Sources(roots=roots, synthetic=frozenset(roots)),
    )


def enlarge(paths: list[Path], folder: Path) -> None:
    """Replace small films by links to large ones, as old as the rest of a release."""
    import pydicom

    pixels = film(HEIGHT, WIDTH)
    bodies = []
    for number in range(NUM_BODIES):
        dataset = pydicom.dcmread(paths[number])
        dataset.Rows, dataset.Columns = HEIGHT, WIDTH
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.set_pixel_data(pixels // (number + 1), dataset.PhotometricInterpretation, 12)
        bodies.append(folder / f"body-{number}.dcm")
        dataset.save_as(bodies[-1])
        os.utime(bodies[-1], (time.time() - 3600,) * 2)
    for number, path in enumerate(paths):
        path.unlink()
        path.hardlink_to(bodies[number % NUM_BODIES])


def refresh(workspace: Workspace) -> tuple[list[str], float]:
    """Make every table that is not current; which, and the CPU seconds of it."""
    built = []
    started = cpu_seconds()
    for name, step in CPU_STEPS.items():
        inputs = step.input_versions(workspace)
        if step.current(workspace, inputs) is None:
            build_and_publish(step, workspace, inputs, log=lambda line: None)
            built.append(name)
    return built, cpu_seconds() - started


def add_studies(workspace: Workspace) -> None:
    """Add ten studies of subjects that are there: film, report, and a line in each list."""
    tree = workspace.home / "raw" / "mimic-cxr"
    films = (
        workspace.lake.scan("cxr_records")
        .filter(source="cxr")
        .unique("study_id")
        .sort("record_id")
        .head(NUM_NEW_STUDIES)
        .collect()
    )
    names: dict[str, tuple[str, str, str]] = {}
    studies = []
    for number, row in enumerate(films.iter_rows(named=True)):
        former = tree / row["path"]
        dicom, study = f"{number:08x}{row['record_id'][8:]}", str(59_000_000 + number)
        folder = former.parents[1] / f"s{study}"
        folder.mkdir()
        (folder / f"{dicom}.dcm").hardlink_to(former)
        folder.with_suffix(".txt").write_bytes(former.parent.with_suffix(".txt").read_bytes())
        names[row["record_id"]] = (str(row["study_id"]), dicom, study)
        studies.append(f"{row['subject_id']},{study},{folder.with_suffix('.txt').relative_to(tree)}")

    def copied(lines: list[str]) -> list[str]:
        return [
            line.replace(old, dicom).replace(former, study)
            for line in lines
            for old, (former, dicom, study) in names.items()
            if old in line
        ]

    append(tree / "cxr-record-list.csv.gz", copied)
    append(workspace.home / "raw" / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz", copied)
    append(tree / "cxr-study-list.csv.gz", lambda lines: studies)


def append(path: Path, new: Callable[[list[str]], list[str]]) -> None:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    path.write_bytes(gzip.compress("\n".join([*lines, *new(lines[1:])]).encode() + b"\n"))


def cpu_seconds() -> float:
    """User and system time of this process and of those that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
