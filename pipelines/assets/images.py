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
from pipelines.features.film_journal import DECODED_SCHEMA, FilmJournal, stat_films
from pipelines.resources import Workspace
from pipelines.sources import FILMS, SOURCES
from pipelines.sources.films import JPG

NUM_LOOKED_AT = 1000
"""Films whose files are looked for to tell whether a release holds DICOM files or not."""
FILMS_OF = "/films"
NOT_OF_THE_PIXELS = ("num_processes", "source")
"""Settings that change no picture; the source is in the name of the films' version."""
_NOTHING = {
    "source": pl.String,
    "record_id": pl.String,
    "subject_id": pl.Int64,
    "study_id": pl.Int64,
    **DECODED_SCHEMA,
    "_rejected": pl.String,
}


@step(
    features.CxrImages,
    inputs=[records.CxrRecords],
    settings=lambda profile: {k: v for k, v in profile.group("images").items() if k not in NOT_OF_THE_PIXELS},
    raw=lambda workspace: image_digests(workspace),
    raw_keys=tuple(films.listed_in for films in FILMS.values()),
    is_whole=lambda workspace: has_pixels(workspace),
    kinds=("opencv", "parquet"),
)
def cxr_images(build: Build) -> pl.DataFrame:
    """Decode every film to grey pixels, once, into the image store."""
    records_of = build.frame(records.CxrRecords).partition_by("database", as_dict=True)
    known, decoded = _decoded_before(build), [pl.DataFrame(schema=_NOTHING)]
    for name in sorted(name for name in build.inputs if name.endswith(FILMS_OF)):
        source = name.removeprefix("raw:").removesuffix(FILMS_OF)
        films = records_of.get((source.removesuffix(JPG),))
        if films is not None:
            decoded.append(_decode(build, source, films, known))
    return pl.concat(decoded)


def _decode(build: Build, source: str, films: pl.DataFrame, known: pl.DataFrame | None) -> pl.DataFrame:
    root = build.workspace.sources.root(source)
    assert root is not None
    if source.endswith(JPG):
        films = films.with_columns(pl.col("path").str.replace(r"\.dcm$", ".jpg"))
    return images.decode_images(
        films.select("source", "record_id", "subject_id", "study_id", "path"),
        root=root,
        store=build.workspace.image_store,
        num_processes=build.workspace.profile.images.num_processes,
        known=known,
        journal=film_journal(build.workspace, source),
        log=build.log,
        **build.settings,
    )


def _decoded_before(build: Build) -> pl.DataFrame | None:
    """Return the films that this code decoded with these settings."""
    published = build.lake.manifest(features.CxrImages.table)
    if published is None or (published.code_version, published.settings) != (build.step.code_version(), build.settings):
        return None
    return build.lake.scan(features.CxrImages.table).collect()


def has_pixels(workspace: Workspace) -> bool:
    """Return whether the store holds the pixels of every published film: a folder of it may be deleted by hand."""
    published = workspace.lake.scan(features.CxrImages.table).select("pixel_sha256").collect()["pixel_sha256"]
    return bool(published.is_in(workspace.image_store.digests().implode()).all())


def film_journal(workspace: Workspace, source: str) -> FilmJournal:
    """Return the journal of what this code decodes of a source with these settings."""
    settings = canonical_json(cxr_images.settings(workspace.profile))
    key = short_hash(f"{cxr_images.code_version()} {settings} {source}")
    return FilmJournal(workspace.image_store.folder / "journal" / key)


def image_digests(workspace: Workspace) -> dict[str, str]:
    """Return one version for all films of each release, under the name of the source whose files are decoded."""
    digests = {}
    for name in FILMS:
        if workspace.sources.root(name) is not None:
            source, root, paths = film_source(workspace, name)
            listing = film_journal(workspace, source).listing(root, stat_films(root, paths))
            digests[f"raw:{source}{FILMS_OF}"] = short_hash("\n".join(listing))
    return digests


def film_source(workspace: Workspace, name: str) -> tuple[str, Path, list[str]]:
    """Return the source whose files are decoded for a release's films, its root, and every film that it lists.

    Where the films exist as JPG files in a source of their own, setting `images.source` chooses: dicom, jpg, or auto,
    which takes the JPG files where there are no others.

    Raises:
        ValueError: the setting asks for JPG files, and their root is not set.
    """
    sources, jpg = workspace.sources, f"{name}{JPG}"
    root = sources.root(name)
    assert root is not None
    paths = FILMS[name].paths(root)
    if jpg not in SOURCES:
        return name, root, paths
    wanted, jpg_root = workspace.profile.images.source, sources.roots.get(jpg)
    if wanted == "jpg" and jpg_root is None:
        raise ValueError(f"images.source is jpg: set {SOURCES[jpg].variable} to the folder of the JPG files")
    if wanted == "dicom" or jpg_root is None or (wanted == "auto" and _any_there(root, paths)):
        return name, root, paths
    jpg_paths = [path.removesuffix(".dcm") + ".jpg" for path in paths]
    if wanted == "auto" and not _any_there(jpg_root, jpg_paths):
        return name, root, paths
    return jpg, jpg_root, jpg_paths


def _any_there(root: Path, paths: list[str]) -> bool:
    return any((root / path).is_file() for path in paths[:NUM_LOOKED_AT])
