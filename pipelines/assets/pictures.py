"""Where the films of an evaluation set lie as PNG or JPG files; of DICOM they are made while a model wants them."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medcsp_model.corpus.films import FILMS
from pipelines.assets.step import Build
from pipelines.features.film_pictures import write_pictures
from pipelines.resources import Workspace
from pipelines.sources.films import JPG

DICOM = ".dcm"


def published_models(workspace: Workspace) -> list[str]:
    """Return the methods of the profile whose folder lies below `MEDCSP_WEIGHTS`."""
    root = workspace.weights_root
    return [name for name in workspace.profile.radiology.methods if root is not None and (root / name).is_dir()]


@contextmanager
def pictures_of(build: Build, corpus: Path, dataset: str) -> Iterator[str]:
    """Give the folder below which the films of a set lie as pictures while the block runs; nothing if there is none.

    The release's own PNG or JPG files, or those of its JPG release; of DICOM films renderings, if a published model is
    there to look at them. These are removed once the block has run to its end: a stopped one finds them again.
    """
    workspace = build.workspace
    root, films = workspace.sources.root(dataset), _dicom_films(corpus)
    own = _own_pictures(workspace, dataset, films)
    if root is None or own is not None or not published_models(workspace):
        yield str(own or "")
        return
    folder, chosen = build.run_folder() / "pictures", workspace.profile.images
    build.log(f"rendering {len(films):,} DICOM films as pictures for published models")
    write_pictures(
        films,
        root=root,
        folder=folder,
        rendering=chosen.rendering,
        num_threads=chosen.num_processes,
        log=build.log,
    )
    yield str(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _dicom_films(corpus: Path) -> list[str]:
    paths = json.loads((corpus / FILMS).read_text(encoding="utf-8"))["films"]["path"]
    return [path for path in paths if path.endswith(DICOM)]


def _own_pictures(workspace: Workspace, dataset: str, films: list[str]) -> Path | None:
    """Return the root of a release without DICOM films, else that of its JPG release if it has them, else None."""
    if not films:
        return workspace.sources.root(dataset)
    jpg_root = workspace.sources.roots.get(f"{dataset}{JPG}")
    has_films = jpg_root is not None and (jpg_root / films[0]).with_suffix(".jpg").is_file()
    return jpg_root if has_films else None
