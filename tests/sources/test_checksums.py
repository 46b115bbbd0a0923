"""Files are compared with the release's own list, and read again only when they changed."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lake import file_digest
from pipelines.sources import SourceError
from pipelines.sources.checksums import Checked, check_sums

OLD = 1_600_000_000


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[dict[str, bytes]], tuple[Path, list[Path]]]:
    """Write files and the list of their digests, all long ago."""

    def write(contents: dict[str, bytes]) -> tuple[Path, list[Path]]:
        root = tmp_path / "release"
        for name, data in contents.items():
            put(root / name, data)
        lines = [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in contents.items()]
        put(root / "SHA256SUMS.txt", ("\n".join(lines) + "\n").encode())
        return root, [root / name for name in contents]

    return write


def put(path: Path, data: bytes, *, when: int = OLD) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (when, when))


class Counting:
    """sha256 of files, and which were read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, path: Path) -> str:
        self.read.append(path.name)
        return hashlib.sha256(path.read_bytes()).hexdigest()


def test_unchanged_files_are_read_once(tree, tmp_path: Path) -> None:
    root, files = tree({"hosp/a.csv": b"a", "icu/b.csv": b"b"})
    digest = Counting()
    check = lambda mode: check_sums(files, root=root, home=tmp_path / "home", mode=mode, digest=digest)  # noqa: E731
    assert check("changed") == Checked(num_hashed=2)
    assert check("changed") == Checked(num_unchanged=2)
    assert digest.read == ["a.csv", "b.csv"]
    os.utime(files[0], (OLD + 1, OLD + 1))
    assert check("changed") == Checked(num_hashed=1, num_unchanged=1)
    assert check("all") == Checked(num_hashed=2)
    assert digest.read == ["a.csv", "b.csv", "a.csv", "a.csv", "b.csv"]
    assert check("off") == Checked()


def test_file_that_was_read_for_its_version_is_not_read_again(tree, tmp_path: Path, monkeypatch) -> None:
    root, files = tree({"a.csv": b"a"})
    home = tmp_path / "home"
    file_digest(files[0], root=root, home=home)
    again = Counting()
    monkeypatch.setattr("pipelines.sources.checksums.sha256_file", again)
    assert check_sums(files, root=root, home=home, mode="changed") == Checked(num_hashed=1)
    assert again.read == []
    assert check_sums(files, root=root, home=home, mode="all") == Checked(num_hashed=1)
    assert again.read == ["a.csv"]


@pytest.mark.parametrize("mode", ["changed", "all"])
def test_file_that_differs_is_named_with_both_digests(mode: str, tree, tmp_path: Path) -> None:
    root, files = tree({"hosp/a.csv": b"a", "hosp/b.csv": b"b"})
    home = tmp_path / "home"
    check_sums(files, root=root, home=home, mode="changed")
    put(files[1], b"x", when=OLD + 5)
    expected, found = (hashlib.sha256(data).hexdigest() for data in (b"b", b"x"))
    for _ in range(2):
        with pytest.raises(
            SourceError, match=rf"hosp/b\.csv is not as .* {expected}, found {found} .*download it again"
        ):
            check_sums(files, root=root, home=home, mode=mode)  # type: ignore[arg-type]
    assert check_sums(files, root=root, home=home, mode="off") == Checked()


def test_file_of_a_patient_is_named_by_its_line_alone(tree, tmp_path: Path) -> None:
    root, files = tree({"a.csv": b"a", "files/p10/p10000032/s50414267.txt": b"report"})
    put(files[1], b"x")
    with pytest.raises(
        SourceError, match=r"release/files/\.\.\. is not as .*/SHA256SUMS\.txt, line 2, lists it"
    ) as error:
        check_sums(files, root=root, home=tmp_path / "home", mode="changed")
    assert "10000032" not in str(error.value)


def test_change_that_hides_behind_the_same_size_and_time_is_found_by_all(tree, tmp_path: Path) -> None:
    root, files = tree({"a.csv": b"a"})
    home = tmp_path / "home"
    check_sums(files, root=root, home=home, mode="changed")
    put(files[0], b"x")
    assert check_sums(files, root=root, home=home, mode="changed") == Checked(num_unchanged=1)
    with pytest.raises(SourceError, match=r"a\.csv"):
        check_sums(files, root=root, home=home, mode="all")


def test_list_that_changed_is_asked_again(tree, tmp_path: Path) -> None:
    root, files = tree({"a.csv": b"a"})
    check_sums(files, root=root, home=tmp_path / "home", mode="changed")
    put(root / "SHA256SUMS.txt", f"{'0' * 64}  a.csv\n".encode(), when=OLD + 9)
    with pytest.raises(SourceError, match="expected 0000"):
        check_sums(files, root=root, home=tmp_path / "home", mode="changed")


def test_file_just_written_is_not_believed_the_next_time(tree, tmp_path: Path) -> None:
    root, files = tree({"a.csv": b"a"})
    files[0].write_bytes(b"a")
    for _ in range(2):
        assert check_sums(files, root=root, home=tmp_path / "home", mode="changed") == Checked(num_hashed=1)


def test_unlisted_files_and_trees_without_a_list_are_counted(tree, tmp_path: Path) -> None:
    root, files = tree({"a.csv": b"a"})
    put(root / "b.csv", b"b")
    assert check_sums([*files, root / "b.csv"], root=root, home=tmp_path, mode="all") == Checked(
        num_hashed=1, num_unlisted=1
    )
    (root / "SHA256SUMS.txt").unlink()
    assert check_sums(files, root=root, home=tmp_path, mode="all") == Checked(num_unlisted=1)


def test_list_that_is_none_is_refused(tree, tmp_path: Path) -> None:
    root, files = tree({"a.csv": b"a"})
    put(root / "SHA256SUMS.txt", b"<html>log in</html>\n", when=OLD + 1)
    with pytest.raises(SourceError, match=r"SHA256SUMS\.txt, line 1: expected"):
        check_sums(files, root=root, home=tmp_path, mode="changed")
    put(root / "SHA256SUMS.txt", b"\xff\xfe", when=OLD + 2)
    with pytest.raises(SourceError, match=r"SHA256SUMS\.txt is not text"):
        check_sums(files, root=root, home=tmp_path, mode="changed")


def test_unknown_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'some': choose one of all, changed, off"):
        check_sums([], root=tmp_path, home=tmp_path, mode="some")  # type: ignore[arg-type]
