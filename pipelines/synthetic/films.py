"""People who only ever had a film taken, and films as PNG and JPG files, for the sources that hold nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.synthetic.latent import Subjects, draw_admissions, draw_people
from pipelines.synthetic.radiograph import draw_films
from pipelines.synthetic.studies import draw_findings

BATCH = 64
JPG_QUALITY = 95


@dataclass(frozen=True)
class Strangers:
    """People of no other source, each with one study.

    Attributes:
        subjects: n of them.
        findings: float64 (n, 22), columns as `FINDINGS`.
    """

    subjects: Subjects
    findings: np.ndarray


def draw_strangers(number: int, *, seed: int, first: int) -> Strangers:
    """Draw people and what their film shows, at the height of an illness.

    Args:
        number: how many.
        seed: the settings' seed.
        first: their latent ids are this and the following; no other source may use them.
    """
    everybody = np.ones(number, dtype=bool)
    subjects = draw_people(first + np.arange(number), has_ehr=~everybody, has_cxr=everybody, seed=seed)
    if not number:
        return Strangers(subjects, np.zeros((0, 22)))
    admissions = draw_admissions(subjects, seed=seed)
    at_admission = admissions.admit[np.searchsorted(admissions.subject, np.arange(number))]
    findings = draw_findings(subjects, admissions, subject=np.arange(number), time=at_admission, seed=seed + first)
    return Strangers(subjects, findings)


def films(
    findings: np.ndarray, *, lateral: np.ndarray, names: list[str], image_size: int, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and film, uint8 (H, W), one after another in bounded memory."""
    for start in range(0, len(names), BATCH):
        part = slice(start, start + BATCH)
        drawn = draw_films(
            findings[part], lateral=lateral[part], dicom_id=names[part], image_size=image_size, seed=seed
        )
        yield from zip(names[part], np.rint(255 * drawn).astype(np.uint8), strict=True)


def save_image(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 pixels (H, W) or (H, W, 3) as PNG or JPG, by the ending; equal pixels give equal bytes."""
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, JPG_QUALITY] if path.suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    done, data = cv2.imencode(path.suffix, pixels, options)
    assert done, path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())
