"""The image files are what a DICOM reader expects of a published chest film."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pipelines.synthetic.mimic_cxr import dicom_time
from pipelines.synthetic.mimic_cxr_jpg import format_number


@pytest.fixture(scope="module")
def films(raw: Path) -> dict[str, pydicom.Dataset]:
    return {path.stem: pydicom.dcmread(path) for path in sorted((raw / "mimic-cxr").rglob("*.dcm"))}


def test_pixels_are_12_bits_in_16(films: dict[str, pydicom.Dataset]) -> None:
    for film in films.values():
        assert (film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation) == (16, 12, 11, 0)
        pixels = film.pixel_array
        assert pixels.shape == (64, 64) and pixels.dtype == np.uint16
        assert 255 < pixels.max() <= 4095 and pixels.std() > 100


def test_a_few_films_are_inverted_and_look_alike_once_turned_back(films: dict[str, pydicom.Dataset]) -> None:
    by_kind: dict[str, list[np.ndarray]] = {"MONOCHROME1": [], "MONOCHROME2": []}
    for film in films.values():
        pixels = film.pixel_array.astype(float)
        inverted = film.PhotometricInterpretation == "MONOCHROME1"
        by_kind[film.PhotometricInterpretation].append(4095 - pixels if inverted else pixels)
    assert 0.02 < len(by_kind["MONOCHROME1"]) / len(films) < 0.3
    means = [np.mean(kind, axis=0).ravel() for kind in by_kind.values()]
    assert np.corrcoef(means)[0, 1] > 0.9


def test_windows_tables_and_neither_occur_and_one_file_is_implicit(films: dict[str, pydicom.Dataset]) -> None:
    windows = [film for film in films.values() if "WindowCenter" in film]
    tables = [film for film in films.values() if "VOILUTSequence" in film]
    assert windows and tables and len(windows) + len(tables) < len(films)
    for film in (*windows, *tables):
        shown = apply_voi_lut(film.pixel_array, film)
        assert shown.min() >= 0 and shown.max() <= 4095 and shown.std() > 50
    syntaxes = [film.file_meta.TransferSyntaxUID for film in films.values()]
    assert syntaxes.count(ImplicitVRLittleEndian) == 1
    assert syntaxes.count(ExplicitVRLittleEndian) == len(films) - 1


def test_headers_agree_with_the_tables(films: dict[str, pydicom.Dataset], read) -> None:
    rows = read("mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz").to_dicts()
    assert {row["dicom_id"] for row in rows} == set(films)
    for row in rows:
        film = films[row["dicom_id"]]
        assert film.PatientID == row["subject_id"] and film.StudyID == row["study_id"]
        assert film.StudyDate == row["StudyDate"] and float(film.StudyTime) == float(row["StudyTime"])
        assert film.ViewPosition == row["ViewPosition"]
        assert film.PerformedProcedureStepDescription == row["PerformedProcedureStepDescription"]
        assert (str(film.Rows), str(film.Columns)) == (row["Rows"], row["Columns"])
    assert len({film.SOPInstanceUID for film in films.values()}) == len(films)
    studies = {(film.StudyInstanceUID, film.StudyID) for film in films.values()}
    assert len(studies) == len({study for _, study in studies})


@pytest.mark.parametrize(
    "moment, clock, number",
    [
        ("2180-05-06T21:30:14.531", "213014.531", "213014.531"),
        ("2180-05-06T08:05:56.875", "080556.875", "80556.875"),
        ("2180-05-06T00:00:12.500", "000012.500", "12.5"),
    ],
)
def test_clock_times(moment: str, clock: str, number: str) -> None:
    assert dicom_time(np.datetime64(moment)) == clock
    assert format_number(clock) == number
