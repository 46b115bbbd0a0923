"""Listed paths stay below the root, links included; folders linked directly in the root are the user's own."""

from pathlib import Path

import pytest

from lake.inside import Inside, OutsideRootError, safe_path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside" / "p10").mkdir(parents=True)
    (tmp_path / "outside" / "p10" / "secret.txt").write_text("secret")
    (tmp_path / "root" / "files").mkdir(parents=True)
    (tmp_path / "root" / "files" / "report.txt").write_text("report")
    return tmp_path / "root"


@pytest.mark.parametrize("path", [None, "", "a/../../b", "/a", "..\\b", "C:\\b", "a\0b", ".."])
def test_paths_out_of_the_root_are_refused(path: str | None, root: Path) -> None:
    assert safe_path(path) is None
    with pytest.raises(OutsideRootError, match="outside the root"):
        Inside(root).file(path)


def test_a_file_need_not_be_there(root: Path) -> None:
    assert Inside(root).file("files/report.txt") == str(root / "files" / "report.txt")
    assert Inside(root).file("no/such.txt") == str(root / "no" / "such.txt")


def test_a_path_of_any_depth_is_looked_at(root: Path) -> None:
    path = "a/" * 2000 + "b"
    assert Inside(root).file(path) == f"{root}/{path}"


def test_links_that_leave_the_root_are_refused(root: Path) -> None:
    (root / "files" / "p10").symlink_to(root.parent / "outside" / "p10")
    (root / "files" / "link.txt").symlink_to(root.parent / "outside" / "p10" / "secret.txt")
    (root / "link.txt").symlink_to(root.parent / "outside" / "p10" / "secret.txt")
    inside = Inside(root)
    for path in ("files/p10/secret.txt", "files/link.txt", "link.txt"):
        with pytest.raises(OutsideRootError, match="a link that leaves the root"):
            inside.file(path)


def test_links_inside_the_root_are_followed(root: Path) -> None:
    (root / "files" / "again.txt").symlink_to(root / "files" / "report.txt")
    assert Path(Inside(root).file("files/again.txt")).read_text() == "report"


def test_a_folder_linked_directly_in_the_root_is_followed(root: Path) -> None:
    (root / "elsewhere").symlink_to(root.parent / "outside")
    assert Path(Inside(root).file("elsewhere/p10/secret.txt")).read_text() == "secret"


def test_the_root_may_itself_be_a_link(root: Path) -> None:
    (root.parent / "link").symlink_to(root)
    assert Path(Inside(root.parent / "link").file("files/report.txt")).read_text() == "report"
