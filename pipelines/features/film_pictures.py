"""DICOM films as JPG files, for models whose own preprocessing begins with a whole picture.

As MIMIC-CXR-JPG made its files: 8 bits, the film's own size, JPEG of quality 95. Which films, and who asks for them, is
not known here.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lake.inside import Inside, OutsideRootError
from pipelines.features.rendering import ImageError, Rendering, render_whole

QUALITY = 95


def write_pictures(
    paths: Sequence[str],
    *,
    root: Path,
    folder: Path,
    rendering: Rendering,
    num_threads: int = 1,
    log: Callable[[str], None] = lambda line: None,
) -> int:
    """Write films as JPG files of the same name; one that is there already is left alone.

    Args:
        paths: DICOM files below `root`.
        root: folder of the release.
        folder: where the pictures go.
        rendering: as in `render_dicom`.
        num_threads: films rendered at a time.
        log: called with one line where films have no picture.

    Returns:
        Films that cannot be rendered, which have no picture.
    """
    inside = Inside(root)

    def write(path: str) -> bool:
        picture = (folder / path).with_suffix(".jpg")
        if picture.is_file():
            return True
        try:
            _write(Path(inside.file(path)), picture, rendering)
        except (OutsideRootError, ImageError, OSError):
            return False
        return True

    with ThreadPoolExecutor(num_threads) as pool:
        failed = sum(not written for written in pool.map(write, paths))
    if failed:
        log(f"{failed} of {len(paths)} films could not be rendered as pictures; cxr_images lists why")
    return failed


def _write(film: Path, picture: Path, rendering: Rendering) -> None:
    from PIL import Image

    grey = render_whole(film, rendering=rendering)
    picture.parent.mkdir(parents=True, exist_ok=True)
    beside = picture.with_suffix(".new")
    Image.fromarray(grey).save(beside, format="JPEG", quality=QUALITY)
    beside.replace(picture)
