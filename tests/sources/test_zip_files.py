"""Archives that are made to harm are refused as a whole, by name; nothing is ever extracted."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from pipelines.sources import SourceError
from pipelines.sources.zip_files import open_zip


@pytest.fixture
def archive(tmp_path: Path):
    """Write a zip file: name to content, or a ZipInfo."""

    def write(*members: tuple[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
        path = tmp_path / "reports.zip"
        with zipfile.ZipFile(path, "w", compression) as target:
            for name, content in members:
                target.writestr(name, content)
        return path

    return write


def names(path: Path) -> list[str]:
    with open_zip(path, prefix="outer/") as members:
        return members.names()


def test_members_are_found_below_the_prefix(archive) -> None:
    path = archive(("outer/a.txt", b"a"), ("b.txt", b"b"), ("outer/", b""))
    assert names(path) == ["a.txt", "b.txt"]
    with open_zip(path, prefix="outer/") as members:
        assert members.read("a.txt", max_bytes=10) == b"a"
        assert members.read("c.txt", max_bytes=10) is None


def test_no_more_is_unpacked_than_asked(archive) -> None:
    with open_zip(archive(("a.txt", b"x" * 100))) as members:
        assert members.read("a.txt", max_bytes=10) == b"x" * 11


@pytest.mark.parametrize("name", ["../a.txt", "/etc/passwd", "a/../../b", "C:/a.txt", "..\\a.txt"])
def test_an_entry_that_climbs_out_refuses_the_archive(name: str, archive) -> None:
    with pytest.raises(SourceError, match=r"reports\.zip: .* leads out of the folder"):
        names(archive(("good.txt", b"good"), (name, b"evil")))


def test_a_link_refuses_the_archive(archive) -> None:
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(SourceError, match=r"entry 1 of 1 inside it is a link"):
        names(archive((link, b"/etc/passwd")))


def test_an_entry_packed_too_well_refuses_the_archive(archive) -> None:
    with pytest.raises(SourceError, match="unpacks to more than 200 times its size"):
        names(archive(("bomb.txt", bytes(3 << 20))))
    assert names(archive(("small.txt", bytes(1 << 20)))) == ["small.txt"]


def test_a_total_beyond_any_release_refuses_the_archive(archive, monkeypatch) -> None:
    monkeypatch.setattr("pipelines.sources.zip_files.MAX_TOTAL_BYTES", 15)
    with pytest.raises(SourceError, match="unpacks to 20 bytes, more than 15"):
        names(archive(("a.txt", b"x" * 10), ("b.txt", b"y" * 10)))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_refuse_the_archive(archive) -> None:
    with pytest.raises(SourceError, match=r"entry 2 of 2 inside it has the name of another"):
        names(archive(("a.txt", b"1"), ("outer/a.txt", b"2")))


def test_an_encrypted_entry_refuses_the_archive(archive) -> None:
    path = archive(("a.txt", b"text"))
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    flags = struct.unpack_from("<H", data, central + 8)[0]
    struct.pack_into("<H", data, central + 8, flags | 1)
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match="is encrypted"):
        names(path)


def test_a_size_that_lies_is_one_error(archive) -> None:
    path = archive(("a.txt", b"x" * 5000))
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 24, 10)
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match=r"entry 1 of 1 inside it cannot be read"), open_zip(path) as members:
        members.read("a.txt", max_bytes=100)


def test_a_damaged_member_is_one_error_that_names_no_patient(archive) -> None:
    name = "files/p10/p10000032/s50414267.txt"
    path = archive((name, b"report " * 100), compression=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[100] ^= 0xFF
    path.write_bytes(bytes(data))
    with (
        pytest.raises(SourceError, match=r"reports\.zip: entry 1 of 1 inside it cannot be read \(BadZip") as error,
        open_zip(path) as members,
    ):
        members.read(name, max_bytes=1 << 20)
    assert "p10000032" not in str(error.value)
    assert error.value.__suppress_context__
    assert error.value.__cause__ is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no end", b"<html>"])
def test_what_is_no_zip_file_is_one_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "reports.zip"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"reports\.zip: not a zip file, or a truncated one"):
        names(path)
