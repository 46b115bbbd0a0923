"""Reads members of a zip file by name, without extracting anything, and refuses archives that are made to harm.

Refused as a whole: an entry whose name climbs out of the folder, a link, an encrypted entry, two entries of one name,
an entry that unpacks to far more than it packs, and a total beyond what any release holds. Messages name an entry by
its place in the archive: names hold the numbers of patients and studies.
"""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lake.inside import safe_path
from pipelines.sources.refusals import SourceError

MAX_RATIO = 200
"""Text of reports packs three to ten times; deflate cannot pass 1,032."""
SMALL_BYTES = 1 << 20
"""An entry this small does no harm whatever its ratio."""
MAX_TOTAL_BYTES = 8 << 30


class ZipMembers:
    """The members of an open zip file; safe to read from several threads.

    Args:
        path: the file, for messages.
        archive: it, open.
        prefix: leading folder that is taken off the names of the members.

    Raises:
        SourceError: an entry is one that no release holds.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, *, prefix: str = "") -> None:
        self.path = path
        self._archive = archive
        self._infos: dict[str, zipfile.ZipInfo] = {}
        self._places: dict[str, str] = {}
        total = 0
        infos = archive.infolist()
        for place, info in enumerate(infos, start=1):
            entry = f"entry {place} of {len(infos)}"
            if fault := _fault(info):
                raise SourceError(f"{path}: {entry} inside it {fault}; download the file again")
            total += info.file_size
            name = info.filename.removeprefix(prefix)
            if name in self._infos:
                raise SourceError(f"{path}: {entry} inside it has the name of another; download the file again")
            self._infos[name] = info
            self._places[name] = entry
        if total > MAX_TOTAL_BYTES:
            raise SourceError(f"{path}: unpacks to {total} bytes, more than {MAX_TOTAL_BYTES}; download the file again")

    def names(self) -> list[str]:
        """Return the names of the members that are files, in the order of the archive."""
        return [name for name, info in self._infos.items() if not info.is_dir()]

    def read(self, name: str, *, max_bytes: int) -> bytes | None:
        """Return the bytes of a member, at most `max_bytes` + 1 of them; None where there is no such member.

        Raises:
            SourceError: the member is damaged.
        """
        info = self._infos.get(name)
        if info is None or info.is_dir():
            return None
        try:
            with self._archive.open(info) as member:
                return member.read(max_bytes + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            # from None: the module's own message names the member
            raise SourceError(
                f"{self.path}: {self._places[name]} inside it cannot be read ({type(error).__name__}); "
                f"download it again (unzip -Z1 lists the entries in order)"
            ) from None


@contextmanager
def open_zip(path: Path, *, prefix: str = "") -> Iterator[ZipMembers]:
    """Open a zip file and look at every entry's name and sizes.

    Raises:
        SourceError: it is no zip file, is cut off, or holds what no release holds.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, UnicodeDecodeError, ValueError) as error:
        raise SourceError(f"{path}: not a zip file, or a truncated one (download it again)") from error
    with archive:
        yield ZipMembers(path, archive, prefix=prefix)


def _fault(info: zipfile.ZipInfo) -> str:
    """Return what is wrong with an entry, or an empty text."""
    # orig_filename: the module cuts the name at a NUL and turns backslashes on some systems
    if safe_path(info.orig_filename) is None:
        return "leads out of the folder"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a link"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.file_size > SMALL_BYTES and info.file_size > MAX_RATIO * max(info.compress_size, 1):
        return f"unpacks to more than {MAX_RATIO} times its size"
    return ""
