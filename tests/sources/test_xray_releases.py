"""Releases of the X-ray sources are told apart; a tree of no known release is refused with what it lacks."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.sources import SOURCES, SourceError, detect_release

Copy = Callable[[str, str], Path]


@pytest.fixture
def copy(xray_trees: dict[str, Path], tmp_path: Path) -> Copy:
    """Copy one source of a set of trees, to be changed."""

    def copied(layout: str, name: str) -> Path:
        folder = SOURCES[name].folder
        return Path(shutil.copytree(xray_trees[layout] / folder, tmp_path / folder))

    return copied


RELEASES = {
    "mimic_cxr": ("2.0.0", "2.1.0"),
    "mimic_cxr_jpg": ("2.0.0", "2.1.0"),
    "open_i": ("NLM", "Kaggle"),
    "covid19": ("v5", "v4"),
    "chexpert": ("small", "full"),
}


@pytest.mark.parametrize("name", RELEASES)
def test_every_layout_is_told(name: str, xray_trees: dict[str, Path]) -> None:
    roots = [xray_trees[layout] / SOURCES[name].folder for layout in ("first", "other")]
    assert tuple(detect_release(SOURCES[name], root) for root in roots) == RELEASES[name]


@pytest.mark.parametrize(
    ("name", "file"),
    [("mimic_cxr", "cxr-provider-list.csv.gz"), ("mimic_cxr_jpg", "mimic-cxr-2.1.0-test-set-labeled.csv")],
)
def test_papers_and_folder_tell_2_1_0_from_an_unfinished_download(name: str, file: str, copy: Copy) -> None:
    root = copy("other", name)
    (root / file).unlink()
    assert detect_release(SOURCES[name], root) == "2.0.0"
    (root / "README").write_text("MIMIC-CXR 2.1.0\n")
    assert detect_release(SOURCES[name], root) == "2.1.0"
    (root / "README").unlink()
    assert detect_release(SOURCES[name], root.rename(root.with_name("2.1.0"))) == "2.1.0"


@pytest.mark.parametrize(
    ("name", "file", "column"),
    [
        ("mimic_cxr", "cxr-study-list.csv.gz", "study_id"),
        ("mimic_cxr_jpg", "mimic-cxr-2.0.0-metadata.csv.gz", "ViewPosition"),
        ("open_i", "indiana_reports.csv", "Problems"),
        ("chexpert", "CheXpert-v1.0 batch 1 (validate & csv)/train.csv", "lung opacity"),
    ],
)
def test_a_release_without_a_column_is_refused_by_its_name(name: str, file: str, column: str, copy: Copy) -> None:
    root = copy("other", name)
    path = root / file
    is_packed = path.suffix == ".gz"
    data = gzip.decompress(path.read_bytes()) if is_packed else path.read_bytes()
    header, _, rows = data.partition(b"\n")
    names = [name for name in header.decode().split(",") if name.lower() != column.lower()]
    data = ",".join([*names, "other"]).encode() + b"\n" + rows
    path.write_bytes(gzip.compress(data) if is_packed else data)
    expected = rf"{SOURCES[name].variable}=.* is no known release of {name} .*lacks column {column} of .*{path.name}"
    with pytest.raises(SourceError, match=expected):
        detect_release(SOURCES[name], root)


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("mimic_cxr", "file cxr-record-list.csv.gz; file cxr-study-list.csv.gz"),
        ("mimic_cxr_jpg", "file mimic-cxr-2.0.0-metadata.csv.gz"),
        ("open_i", "folder ecgen-radiology"),
        ("covid19", "folder COVID; folder Lung_Opacity"),
        ("chexpert", "file train.csv or valid.csv"),
    ],
)
def test_a_folder_of_something_else_is_refused(name: str, lacking: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SourceError, match=rf"{SOURCES[name].variable}=.* is no known release .*lacks {lacking}"):
        detect_release(SOURCES[name], tmp_path)


def test_reports_as_xml_come_before_those_of_kaggle(copy: Copy, xray_trees: dict[str, Path]) -> None:
    root = copy("other", "open_i")
    shutil.copytree(xray_trees["first"] / "open-i/ecgen-radiology", root / "ecgen-radiology")
    assert detect_release(SOURCES["open_i"], root) == "NLM"
    shutil.rmtree(root / "ecgen-radiology")
    (root / "ecgen-radiology").mkdir()
    for name in ("indiana_reports.csv", "indiana_projections.csv"):
        (root / name).unlink()
    with pytest.raises(SourceError, match=r"NLM is nearest, and lacks \.xml files in ecgen-radiology"):
        detect_release(SOURCES["open_i"], root)


def test_classes_of_two_layouts_are_no_release(copy: Copy) -> None:
    root = copy("other", "covid19")
    (root / "Normal").rename(root / "moved")
    (root / "Normal").mkdir()
    (root / "moved").rename(root / "Normal/images")
    with pytest.raises(SourceError, match=r"v4 is nearest, and lacks images in .*Normal"):
        detect_release(SOURCES["covid19"], root)
    shutil.rmtree(root / "Normal")
    assert detect_release(SOURCES["covid19"], root) == "v4"


def test_lists_without_rows_leave_the_folder_to_tell(copy: Copy) -> None:
    for layout, name, expected in (
        ("first", "CheXpert-v1.0-small", "small"),
        ("other", "CheXpert-v1.0 batch 1 (validate & csv)", "full"),
    ):
        root = copy(layout, "chexpert")
        for part in ("train", "valid"):
            path = root / name / f"{part}.csv"
            path.write_text(path.read_text().splitlines()[0] + "\n")
        assert detect_release(SOURCES["chexpert"], root) == expected
        shutil.rmtree(root)
