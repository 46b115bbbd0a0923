"""Writes MIMIC-CXR: 12-bit DICOM files, report files beside the study folders, and the two lists.

Source of the layout: MIMIC-CXR 2.1.0's published description. Not here: the drawing (`radiograph`), the words
(`report_text`), the JPG release's metadata (`mimic_cxr_jpg`).
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.synthetic.films import save_image
from pipelines.synthetic.latent import Subjects
from pipelines.synthetic.radiograph import draw_films
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.report_text import Shape, write_report
from pipelines.synthetic.settings import SyntheticSettings
from pipelines.synthetic.studies import Studies
from pipelines.synthetic.writing import write_csv_gz, write_zip

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DIGITAL_XRAY = "1.2.840.10008.5.1.4.1.1.1.1"
MONOCHROME1_SHARE = 0.12
WINDOW_SHARE = 0.40
VOI_LUT_SHARE = 0.10
DESCRIPTIONS = {"AP": "CHEST (PORTABLE AP)", "PA": "CHEST (PA AND LAT)", "LATERAL": "CHEST (PA AND LAT)"}
# JPEG 2000 without loss, and run lengths.
COMPRESSIONS = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5")
BATCH = 128


def write_mimic_cxr(
    root: Path, subjects: Subjects, studies: Studies, *, settings: SyntheticSettings, jpg: Path | None = None
) -> list[dict[str, object]]:
    """Write files/, the reports, cxr-record-list.csv.gz and cxr-study-list.csv.gz; return the planted cases by study.

    Args:
        root: gets them.
        subjects: everybody.
        studies: theirs.
        settings: size of the images, release, where reports lie, and seed.
        jpg: root of MIMIC-CXR-JPG, where each film is written once more as that release makes it; None leaves it out.
    """
    subject_id = subjects.subject_id[studies.subject]
    folders = [study_path(*ids) for ids in zip(subject_id.tolist(), studies.study_id.tolist(), strict=True)]
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
    _write_images(root, studies, subject_id, folders, settings, jpg)
    quirks, texts = _reports(studies, subject_id, folders, seed=settings.seed)
    if settings.report_layout == "zip":
        write_zip(root / "mimic-cxr-reports.zip", texts)
    else:
        for path, text in texts.items():
            (root / path).write_text(text)
    _write_lists(root, studies, subject_id, folders)
    if settings.mimic_cxr_release == "2.1.0":
        _write_providers(root, studies, subject_id)
    return quirks


def report_texts(subjects: Subjects, studies: Studies, *, seed: int) -> dict[int, str]:
    """Return every study's report: study_id -> text."""
    _, texts = _reports(studies, subjects.subject_id[studies.subject], list(map(str, studies.study_id)), seed=seed)
    return {int(path.removesuffix(".txt")): text for path, text in texts.items()}


def study_path(subject_id: int, study_id: int) -> str:
    """Folder of a study below the root, e.g. files/p10/p10000032/s50414267; its report has .txt added."""
    return f"files/p{str(subject_id)[:2]}/p{subject_id}/s{study_id}"


def _write_images(
    root: Path,
    studies: Studies,
    subject_id: np.ndarray,
    folders: list[str],
    settings: SyntheticSettings,
    jpg: Path | None,
) -> None:
    lateral = np.array([view == "LATERAL" for view in studies.view])
    for start in range(0, len(studies.dicom_id), BATCH):
        part = slice(start, start + BATCH)
        films = draw_films(
            studies.findings[studies.study[part]],
            lateral=lateral[part],
            dicom_id=studies.dicom_id[part],
            image_size=settings.image_size,
            seed=settings.seed,
        )
        for offset, film in enumerate(films):
            image = start + offset
            study = int(studies.study[image])
            name = studies.dicom_id[image]
            dataset = _dataset(film, name, studies, image, int(subject_id[study]), settings.seed)
            if image < settings.num_compressed:
                dataset.compress(COMPRESSIONS[image % len(COMPRESSIONS)], generate_instance_uid=False)
            dataset.save_as(root / folders[study] / f"{name}.dcm", enforce_file_format=True)
            if jpg is not None:
                save_image(jpg / folders[study] / f"{name}.jpg", _as_jpg(dataset))


def _dataset(film: np.ndarray, name: str, studies: Studies, image: int, subject_id: int, seed: int) -> "Dataset":
    """One film as a DICOM data set; MONOCHROME1, window and VOI LUT by the film's own draw."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    random = generator(seed, "dicom", name)
    study, view = int(studies.study[image]), studies.view[image]
    study_id, time = int(studies.study_id[study]), studies.time[study]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(DIGITAL_XRAY)
    meta.MediaStorageSOPInstanceUID = UID(_uid("instance", name))
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if image == 1 else ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(_uid("implementation"))
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.SOPClassUID = UID(DIGITAL_XRAY)
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = study_date(time)
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = dicom_time(time)
    dataset.AccessionNumber = ""
    dataset.Modality = "DX"
    dataset.ReferringPhysicianName = ""
    dataset.PerformedProcedureStepDescription = DESCRIPTIONS[view]
    dataset.PatientName = ""
    dataset.PatientID = str(subject_id)
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.ViewPosition = view
    dataset.StudyInstanceUID = UID(_uid("study", study_id))
    dataset.SeriesInstanceUID = UID(_uid("series", name))
    dataset.StudyID = str(study_id)
    dataset.SeriesNumber = dataset.InstanceNumber = "1"
    _put_pixels(dataset, film, random)
    return dataset


def _put_pixels(dataset: "Dataset", film: np.ndarray, random: np.random.Generator) -> None:
    inverted = bool(random.random() < MONOCHROME1_SHARE)
    values = np.rint(60 + 3900 * film).astype(np.uint16)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = film.shape
    dataset.PixelSpacing = ["0.139", "0.139"]
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PixelRepresentation = 0
    draw = random.random()
    if draw < WINDOW_SHARE:
        dataset.WindowCenter = str(int(random.integers(1900, 2200)))
        dataset.WindowWidth = str(int(random.integers(3400, 4096)))
    elif draw < WINDOW_SHARE + VOI_LUT_SHARE:
        dataset.VOILUTSequence = [_voi_lut()]
    dataset.PixelData = (4095 - values if inverted else values).astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"


def _voi_lut() -> "Dataset":
    """A table of 4096 entries of 12 bits that lifts the middle greys."""
    from pydicom.dataset import Dataset

    table = np.rint(4095 * (np.arange(4096) / 4095) ** 0.85).astype("<u2")
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 12])
    item.LUTExplanation = "NORMAL"
    item.add_new("LUTData", "OW", table.tobytes())
    return item


def _as_jpg(dataset: "Dataset") -> np.ndarray:
    """Return a film as MIMIC-CXR-JPG holds it: stretched to 8 bits, inverted where needed, histogram equalised."""
    import cv2

    stored = dataset.pixel_array.astype(np.float64)
    stored -= stored.min()
    grey = (255 * stored / max(stored.max(), 1)).astype(np.uint8)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = np.invert(grey)
    return cv2.equalizeHist(grey)


def _reports(
    studies: Studies, subject_id: np.ndarray, folders: list[str], *, seed: int
) -> tuple[list[dict[str, object]], dict[str, str]]:
    """The planted cases, and path below the root -> text."""
    texts: dict[str, str] = {}
    quirks: list[dict[str, object]] = []
    by_study: dict[int, list[str]] = {}
    for study, view in zip(studies.study.tolist(), studies.view, strict=True):
        by_study.setdefault(study, []).append(view)
    for row, folder in enumerate(folders):
        random = generator(seed, "report", int(studies.study_id[row]))
        draw = 0.80 if row == 0 else random.random()
        shape = Shape(findings=draw < 0.78 or 0.9 <= draw < 0.96, impression=draw < 0.9)
        for section in ("findings", "impression"):
            if not getattr(shape, section):
                quirks.append(
                    {
                        "quirk": f"report_without_{section}",
                        "subject_id": int(subject_id[row]),
                        "study_id": int(studies.study_id[row]),
                    }
                )
        texts[f"{folder}.txt"] = write_report(studies.findings[row], views=by_study[row], shape=shape, random=random)
    return quirks, texts


def _write_lists(root: Path, studies: Studies, subject_id: np.ndarray, folders: list[str]) -> None:
    images = pl.DataFrame(
        {
            "subject_id": subject_id[studies.study],
            "study_id": studies.study_id[studies.study],
            "dicom_id": studies.dicom_id,
            "path": [f"{folders[s]}/{d}.dcm" for s, d in zip(studies.study.tolist(), studies.dicom_id, strict=True)],
        }
    )
    reports = pl.DataFrame(
        {"subject_id": subject_id, "study_id": studies.study_id, "path": [f"{folder}.txt" for folder in folders]}
    )
    write_csv_gz(root / "cxr-record-list.csv.gz", images.sort("subject_id", "study_id", "dicom_id"))
    write_csv_gz(root / "cxr-study-list.csv.gz", reports.sort("subject_id", "study_id"))


def _write_providers(root: Path, studies: Studies, subject_id: np.ndarray) -> None:
    """Write the list that came with 2.1.0: who ordered and who read each study, of a few made-up people."""
    people = {
        f"{role}_provider_id": [f"P{(study * factor) % 97:03d}" for study in studies.study_id.tolist()]
        for role, factor in (("ordering", 3), ("attending", 5), ("resident", 7))
    }
    rows = pl.DataFrame({"subject_id": subject_id, "study_id": studies.study_id, **people})
    write_csv_gz(root / "cxr-provider-list.csv.gz", rows.sort("subject_id", "study_id"))


def study_date(time: np.datetime64) -> str:
    """StudyDate, e.g. 21800506."""
    return str(time.astype("datetime64[D]")).replace("-", "")


def dicom_time(time: np.datetime64) -> str:
    """StudyTime as in the header, e.g. 080556.875."""
    return str(time.astype("datetime64[ms]"))[11:].replace(":", "")


def _uid(*names: str | int) -> str:
    digest = hashlib.sha256(":".join(str(name) for name in names).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:15], 'big')}"
