"""Reports and headers of MIMIC-CXR: what is there is read, what is not is named."""

import os
import zipfile
from pathlib import Path

import polars as pl
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from pipelines.sources import TABLES, SourceError, mimic_cxr

REPORTS = TABLES["mimic_cxr__reports"]
HEADERS = TABLES["mimic_cxr__headers"]
TEXT = " FINAL REPORT\n EXAMINATION:  Chest\n \n IMPRESSION: \n \n No acute process.\n"


def path_of(study: int) -> str:
    return f"files/p10/p10000032/s{study}.txt"


@pytest.fixture
def studies(write):
    """Write the study list: study id to listed path."""

    def write_list(paths: dict[int, str]) -> None:
        lines = [f"10000032,{study},{path}" for study, path in paths.items()]
        write("cxr-study-list.csv.gz", "subject_id,study_id,path", lines)

    return write_list


def read(root: Path) -> dict[int, tuple[str | None, str | None]]:
    rows = REPORTS.read(root).collect()
    return {study: (text, rule) for study, text, rule in rows.select("study_id", "text", "_rejected").iter_rows()}


def put(root: Path, study: int, data: bytes) -> Path:
    path = root / path_of(study)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_reports_are_read_whole(studies, tmp_path: Path) -> None:
    studies({1: path_of(1)})
    file = put(tmp_path, 1, TEXT.encode())
    assert read(tmp_path) == {1: (TEXT, None)}
    assert REPORTS.raw_files(tmp_path) == sorted([tmp_path / "cxr-study-list.csv.gz", file])


def test_what_is_no_report_is_rejected_with_the_reason(studies, tmp_path: Path) -> None:
    studies({1: path_of(1), 2: path_of(2), 3: path_of(3), 4: path_of(4), 5: "../secret.txt", 6: "/etc/hostname"})
    put(tmp_path, 2, b" \n ")
    put(tmp_path, 3, b"\xff\xfe\x00R")
    put(tmp_path, 4, b"GIF89a\0\0")
    (tmp_path.parent / "secret.txt").write_text("secret")
    assert read(tmp_path) == {
        1: (None, "path: no such report"),
        2: (None, "text: empty"),
        3: (None, "text: not text"),
        4: (None, "text: not text"),
        5: (None, "path: outside the root"),
        6: (None, "path: outside the root"),
    }


@pytest.mark.parametrize("folder", ["", "mimic-cxr-reports/"])
def test_zip_stands_in_for_files_that_are_not_unpacked(folder: str, studies, tmp_path: Path) -> None:
    studies({1: path_of(1), 2: path_of(2), 3: path_of(3)})
    put(tmp_path, 2, b"unpacked")
    archive = tmp_path / "mimic-cxr-reports.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr(folder + path_of(1), TEXT)
        target.writestr(folder + path_of(2), "packed")
    assert read(tmp_path) == {1: (TEXT, None), 2: ("unpacked", None), 3: (None, "path: no such report")}
    assert archive in REPORTS.raw_files(tmp_path)


def test_zip_is_opened_once_however_many_batches_there_are(studies, tmp_path: Path, monkeypatch) -> None:
    opened, one = [], zipfile.ZipFile
    monkeypatch.setattr(mimic_cxr, "BATCH_FILES", 2)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *given: opened.append(given) or one(*given))
    studies({study: path_of(study) for study in range(1, 8)})
    with one(tmp_path / "mimic-cxr-reports.zip", "w") as target:
        for study in range(1, 8):
            target.writestr(path_of(study), f"{study}{TEXT}")
    assert read(tmp_path) == {study: (f"{study}{TEXT}", None) for study in range(1, 8)}
    assert len(opened) == 1, "its list of entries is as long as the release"


def test_a_report_is_looked_for_only_where_one_can_lie(studies, tmp_path: Path, monkeypatch) -> None:
    """At every run, 227,835 times: where there is no folder of unpacked reports, in one place."""
    studies({study: path_of(study) for study in range(1, 8)})
    put(tmp_path, 2, b"unpacked")
    looked, isfile = [], os.path.isfile
    monkeypatch.setattr(os.path, "isfile", lambda path: looked.append(path) or isfile(path))
    assert [path.name for path in REPORTS.raw_files(tmp_path)][1:] == [Path(path_of(2)).name]
    assert len(looked) == 7
    (tmp_path / "mimic-cxr-reports" / Path(path_of(3)).parent).mkdir(parents=True)
    (tmp_path / "mimic-cxr-reports" / path_of(3)).write_bytes(b"unpacked elsewhere")
    assert len(REPORTS.raw_files(tmp_path)) == 3


def test_truncated_zip_is_one_error(studies, tmp_path: Path) -> None:
    studies({1: path_of(1)})
    (tmp_path / "mimic-cxr-reports.zip").write_bytes(b"PK\x03\x04 and no end")
    with pytest.raises(SourceError, match=r"mimic-cxr-reports\.zip: not a zip file"):
        read(tmp_path)


DICOM_ID = "02aa804e-bde0afdd-112c0b34-7bc16630-4e38401{}"


def put_dicom(path: Path, **values: object) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[path.name])
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.update({})
    for name, value in values.items():
        setattr(image, name, value)
    image.PixelData = b"\0\0" * 4
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path, enforce_file_format=True)


def test_headers(write, tmp_path: Path) -> None:
    paths = {number: f"files/p10/p10000032/s1/{DICOM_ID.format(number)}.dcm" for number in range(4)}
    lines = [f"10000032,1,{DICOM_ID.format(number)},{path}" for number, path in paths.items()]
    write("cxr-record-list.csv.gz", "subject_id,study_id,dicom_id,path", lines)
    size = {"Rows": 3056, "Columns": 2544}
    put_dicom(tmp_path / paths[0], ViewPosition="PA", StudyDate="21800506", StudyTime="080556.875", **size)
    put_dicom(tmp_path / paths[1], StudyDate="21800506", **size)
    (tmp_path / paths[2]).write_bytes(b"no DICOM at all")
    rows = HEADERS.read(tmp_path).collect()
    good = rows.row(0, named=True)
    assert str(good["study_time"]) == "2180-05-06 08:05:56.875000"
    assert (good["view_position"], good["height_pixels"], good["width_pixels"]) == ("PA", 3056, 2544)
    assert rows["_rejected"].to_list() == [
        None,
        "study_time: not a timestamp",
        "path: not a DICOM file (InvalidDicomError)",
        "path: no such image",
    ]
    assert HEADERS.raw_files(tmp_path) == [tmp_path / "cxr-record-list.csv.gz"]
    listing = HEADERS.listing(HEADERS, tmp_path)
    assert [line.split(" ")[0] for line in listing] == list(paths.values())
    assert listing[3] == paths[3]
    os.utime(tmp_path / paths[0], ns=(0, 1_000))
    assert HEADERS.listing(HEADERS, tmp_path)[0] == f"{paths[0]} {(tmp_path / paths[0]).stat().st_size} 1000"


def test_headers_are_left_where_the_jpg_release_is() -> None:
    assert HEADERS.unless == "mimic_cxr_jpg"


def test_lists(write, tmp_path: Path) -> None:
    write("cxr-record-list.csv.gz", "subject_id,study_id,dicom_id,path", [f"1,2,{DICOM_ID.format(0)},files/x.dcm"])
    rows = TABLES["mimic_cxr__record_list"].read(tmp_path).collect()
    assert rows.rows() == [(1, 2, DICOM_ID.format(0), "files/x.dcm", None)]
    assert rows.schema["study_id"] == pl.Int64
