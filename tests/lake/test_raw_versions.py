"""Raw files: hashed once and remembered until they change; the release's list is read, and not believed."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from lake import file_digest, raw_version
from lake import raw as raw_module
from lake.raw import listed_at, listed_digest

OLD = time.time() - 3600


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "release"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were really read."""
    names: list[str] = []
    original = raw_module.sha256_file
    monkeypatch.setattr(raw_module, "sha256_file", lambda path: names.append(path.name) or original(path))
    return names


def write(path: Path, text: str, mtime: float = OLD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (mtime, mtime))
    return path


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_file_is_hashed_once_and_again_when_its_size_or_time_changes(root, home, hashed):
    path = write(root / "hosp" / "patients.csv", "one")
    assert [file_digest(path, root=root, home=home) for _ in range(3)] == [sha("one")] * 3
    assert hashed == ["patients.csv"]
    write(path, "two", OLD + 60)
    assert file_digest(path, root=root, home=home) == sha("two")
    write(path, "two", OLD + 120)
    assert file_digest(path, root=root, home=home) == sha("two")
    assert len(hashed) == 3


def test_a_file_written_this_moment_is_not_remembered(root, home, hashed):
    path = write(root / "a.csv", "one", time.time())
    file_digest(path, root=root, home=home)
    path.write_text("two")  # within one tick of the clock, and of the same size
    assert file_digest(path, root=root, home=home) == sha("two")


def test_the_list_of_the_release_is_not_believed(root, home):
    path = write(root / "hosp" / "a.csv", "changed on purpose")
    write(root / "SHA256SUMS.txt", f"{'ab' * 32}  hosp/a.csv\n", OLD + 1)
    assert file_digest(path, root=root, home=home) == sha("changed on purpose")


@pytest.mark.parametrize("line", ["{}  hosp/a.csv\n", "{} *hosp/a.csv\n", "{}  ./hosp/a.csv\n"])
def test_the_list_of_the_release_is_read(root, line):
    path = write(root / "hosp" / "a.csv", "one")
    write(root / "SHA256SUMS.txt", f"\n{line.format('AB' * 32)}", OLD + 1)
    assert listed_digest(path, root=root) == "ab" * 32
    assert listed_at(path, root=root) == f"{root}/SHA256SUMS.txt, line 2"


def test_a_list_above_the_root_is_not_looked_at(root):
    path = write(root / "a.csv", "one")
    write(root.parent / "SHA256SUMS.txt", f"{'ab' * 32}  release/a.csv\n", OLD + 1)
    assert listed_digest(path, root=root) is None


def test_a_broken_list_names_its_line(root):
    path = write(root / "a.csv", "one")
    write(root / "SHA256SUMS.txt", f"{'ab' * 32}  b.csv\n<html>\n", OLD + 1)
    with pytest.raises(ValueError, match=r"SHA256SUMS.txt, line 2: expected '<sha256>"):
        listed_digest(path, root=root)


def test_the_version_of_a_group_depends_on_names_and_content_alone(root, home, hashed):
    a, b = write(root / "a.txt", "one"), write(root / "x" / "b.txt", "two")
    before = raw_version([a, b], root=root, home=home)
    assert raw_version([b, a], root=root, home=home) == before
    assert len(hashed) == 2
    write(a, "one", OLD + 60)  # rewritten with the same content
    assert raw_version([a, b], root=root, home=home) == before
    assert raw_version([a], root=root, home=home) != before
    moved = write(root / "c.txt", "one")
    assert raw_version([moved, b], root=root, home=home) != before
    write(b, "other", OLD + 60)
    assert raw_version([a, b], root=root, home=home) != before


def test_an_error_names_no_patient(root, home, monkeypatch):
    patients = root / "files" / "p10" / "p10000032" / "s50414267.txt"
    with pytest.raises(ValueError, match=r"raw file .*/release/files/\.\.\. cannot be read .*find") as missing:
        raw_version([patients], root=root, home=home)
    assert "10000032" not in f"{missing.value}{missing.value.__cause__}"
    write(patients, "one")

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(raw_module, "sha256_file", refuse)
    with pytest.raises(ValueError, match=r"/release/files/\.\.\. cannot be read \(Permission denied\)"):
        raw_version([patients], root=root, home=home)


def test_a_missing_file_is_an_error_that_names_it(root, home):
    with pytest.raises(ValueError, match=r"raw file .*nothing.csv cannot be read"):
        file_digest(root / "nothing.csv", root=root, home=home)
