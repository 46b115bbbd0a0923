"""Which files are decoded, DICOM or JPG, and what stands for films that were never read."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from graph_runs import run_job, tiny_workspace

from lake import Lake
from pipelines.assets.images import film_source, image_digests
from pipelines.resources import Workspace


def with_source(workspace: Workspace, source: str) -> Workspace:
    return replace(
        workspace, profile=replace(workspace.profile, images=replace(workspace.profile.images, source=source))
    )


def to_jpg(home: Path) -> None:
    """Replace every DICOM file by a JPG file of the other release."""
    from PIL import Image
    from pydicom import dcmread

    raw = home / "raw"
    for film in sorted((raw / "mimic-cxr").rglob("*.dcm")):
        target = raw / "mimic-cxr-jpg" / film.relative_to(raw / "mimic-cxr").with_suffix(".jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((dcmread(film).pixel_array >> 4).astype("uint8")).save(target, quality=95)
        film.unlink()


def test_dicom_files_go_before_jpg_files(built_home: Path) -> None:
    workspace = tiny_workspace(built_home)
    source, root, paths = film_source(workspace, "mimic_cxr")
    assert (source, root) == ("mimic_cxr", workspace.sources.roots["mimic_cxr"])
    assert all(path.endswith(".dcm") for path in paths)
    others = ["raw:open_i/films", "raw:covid19/films", "raw:chexpert/films"]
    assert list(image_digests(workspace)) == ["raw:mimic_cxr/films", *others]
    source, root, paths = film_source(with_source(workspace, "jpg"), "mimic_cxr")
    assert (source, root) == ("mimic_cxr_jpg", workspace.sources.roots["mimic_cxr_jpg"])
    assert all(path.endswith(".jpg") for path in paths)


def test_jpg_without_its_root_is_one_error(built_home: Path) -> None:
    workspace = tiny_workspace(built_home)
    roots = {name: root for name, root in workspace.sources.roots.items() if name != "mimic_cxr_jpg"}
    without = replace(workspace, sources=replace(workspace.sources, roots=roots))
    assert film_source(without, "mimic_cxr")[0] == "mimic_cxr"
    with pytest.raises(ValueError, match=r"images\.source is jpg: set MEDCSP_MIMIC_CXR_JPG"):
        film_source(with_source(without, "jpg"), "mimic_cxr")


def test_a_touched_film_rebuilds_nothing(fresh_copy: Path) -> None:
    before = image_digests(tiny_workspace(fresh_copy))
    films = sorted((fresh_copy / "raw" / "mimic-cxr").rglob("*.dcm"))
    assert run_job(tiny_workspace(fresh_copy), only=["cxr_images"]).success
    for film in films[:2]:
        os.utime(film)
    assert image_digests(tiny_workspace(fresh_copy)) == before
    films[0].write_bytes(films[0].read_bytes()[:-1])
    assert image_digests(tiny_workspace(fresh_copy)) != before


def test_films_of_another_size_have_a_store_of_their_own(fresh_copy: Path) -> None:
    workspace = tiny_workspace(fresh_copy)
    images = replace(workspace.profile.images, size=workspace.profile.images.size // 2)
    smaller = replace(workspace, profile=replace(workspace.profile, images=images))
    before = workspace.lake.scan("cxr_images").collect()["pixel_sha256"]
    outcome = run_job(smaller, only=["cxr_images"])
    assert outcome.success, outcome.failures
    after = smaller.lake.scan("cxr_images").collect()["pixel_sha256"]
    assert smaller.image_store.read(after[:2]).shape == (2, images.size, images.size)
    assert workspace.image_store.read(before[:2]).shape == (2, 2 * images.size, 2 * images.size)


def test_jpg_files_are_decoded_where_there_are_no_dicom_files(fresh_copy: Path) -> None:
    before = Lake(fresh_copy).scan("cxr_images").collect()
    to_jpg(fresh_copy)
    workspace = tiny_workspace(fresh_copy)
    assert film_source(workspace, "mimic_cxr")[0] == "mimic_cxr_jpg"
    outcome = run_job(workspace, only=["cxr_images"])
    assert outcome.success, outcome.failures
    after = Lake(fresh_copy).scan("cxr_images").collect()
    assert after["record_id"].to_list() == before["record_id"].to_list()
    assert after["photometric"].unique().to_list() == ["L"]
