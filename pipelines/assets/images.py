"""The image step: where films lie, what stands for those that were never read, and their decoding. Not here: pixels.

Films are too many to be hashed before they are decoded: names, sizes and times stand for them. A film that was decoded
and then touched is hashed, and where its bytes are the same, counts under its former time.
"""

from pathlib import Path

import polars as pl

from data_contracts import features, records
from lake import short_hash
from lake.files import canonical_json
from pipelines.assets.step import Build, step
from pipelines.features import images
from pipelines.features.film_journal import FilmJournal, stat_films
from pipelines.resources import Workspace
from pipelines.sources import TABLES
from pipelines.sources.mimic_cxr import film_paths

NUM_LOOKED_AT = 1000
"""Films whose files are looked for to tell whether a release holds DICOM files or not."""
FILMS = "/films"
NOT_OF_THE_PIXELS = ("num_processes", "source")
"""Settings that change no picture; the source is in the name of the films' version."""


@step(
    features.CxrImages,
    inputs=[records.CxrRecords],
    settings=lambda profile: {k: v for k, v in profile.group("images").items() if k not in NOT_OF_THE_PIXELS},
    raw=lambda workspace: image_digests(workspace),
    raw_keys=("mimic_cxr__record_list",),
    kinds=("opencv", "parquet"),
)
def cxr_images(build: Build) -> pl.DataFrame:
    """Decode every film to grey pixels, once, into the image store."""
    (source,) = [name.removeprefix("raw:").removesuffix(FILMS) for name in build.inputs if name.endswith(FILMS)]
    root = build.workspace.sources.root(source)
    assert root is not None
    films = build.frame(records.CxrRecords).select("dicom_id", "subject_id", "study_id", "path")
    if source == "mimic_cxr_jpg":
        films = films.with_columns(pl.col("path").str.replace(r"\.dcm$", ".jpg"))
    return images.decode_images(
        films,
        root=root,
        store=build.workspace.image_store,
        num_processes=build.workspace.profile.images.num_processes,
        known=_decoded_before(build),
        journal=film_journal(build.workspace),
        log=build.log,
        **build.settings,
    )


def _decoded_before(build: Build) -> pl.DataFrame | None:
    """Return the films that this code decoded with these settings."""
    published = build.lake.manifest(features.CxrImages.table)
    if published is None or (published.code_version, published.settings) != (build.step.code_version(), build.settings):
        return None
    return build.lake.scan(features.CxrImages.table).collect()


def film_journal(workspace: Workspace) -> FilmJournal:
    """Return the journal of what this code decodes with these settings."""
    settings = canonical_json(cxr_images.settings(workspace.profile))
    key = short_hash(f"{cxr_images.code_version()} {settings}")
    return FilmJournal(workspace.image_store.folder / "journal" / key)


def image_digests(workspace: Workspace) -> dict[str, str]:
    """Return one version for all films, under the name of the source whose files are decoded."""
    source, root, paths = film_source(workspace)
    stats = stat_films(root, paths)
    return {f"raw:{source}{FILMS}": short_hash("\n".join(film_journal(workspace).listing(root, stats)))}


def film_source(workspace: Workspace) -> tuple[str, Path, list[str]]:
    """Return the source whose files are decoded, its root, and every film that it lists.

    Setting `images.source`: dicom, jpg, or auto, which takes the JPG release where MIMIC-CXR has no DICOM files.

    Raises:
        ValueError: the setting asks for the JPG release, and its root is not set.
    """
    sources = workspace.sources
    root = sources.root("mimic_cxr")
    assert root is not None
    wanted = workspace.profile.images.source
    jpg_root = sources.roots.get("mimic_cxr_jpg")
    paths = film_paths(TABLES["mimic_cxr__record_list"], root)
    if wanted == "jpg" and jpg_root is None:
        raise ValueError("images.source is jpg: set MEDCSP_MIMIC_CXR_JPG to the folder of MIMIC-CXR-JPG")
    if wanted == "dicom" or jpg_root is None or (wanted == "auto" and _any_there(root, paths)):
        return "mimic_cxr", root, paths
    jpg_paths = [path.removesuffix(".dcm") + ".jpg" for path in paths]
    if wanted == "auto" and not _any_there(jpg_root, jpg_paths):
        return "mimic_cxr", root, paths
    return "mimic_cxr_jpg", jpg_root, jpg_paths


def _any_there(root: Path, paths: list[str]) -> bool:
    return any((root / path).is_file() for path in paths[:NUM_LOOKED_AT])
