"""DICOM to 224 x 224 grey pixels, against pydicom's pixels, a window of percentiles, and Pillow's bicubic filter.

A film of 3056 x 2544 pixels, 16 bits each, is written to a temporary folder; both ways begin with its path. Prints a
line per rendering and, last, one JSON object: `ratio` (CPU time of the usual way over ours in fast mode, both with the
window), `psnr_db` (our fast pixels against theirs), and for the default rendering `ratio_default` and
`psnr_db_default`, its fast pixels against its exact ones.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import film, psnr_db, ratio_of
from pipelines.features.rendering import PERCENTILES, render_dicom
from pipelines.features.resizing import resize_exact

HEIGHT, WIDTH = 3056, 2544


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_film(Path(folder) / "film.dcm")
        ratio, theirs, ours = ratio_of(
            lambda: usual(path), lambda: render_dicom(path, rendering="percentile", mode="fast")
        )
        quality = psnr_db(usual(path), render_dicom(path, rendering="percentile", mode="fast"))
        print(f"percentile: {theirs:.1f} ms against {ours:.1f} ms, {quality:.1f} dB")
        ratio_default, _, ours = ratio_of(lambda: usual(path), lambda: render_dicom(path, mode="fast"))
        quality_default = psnr_db(render_dicom(path, mode="exact"), render_dicom(path, mode="fast"))
        print(f"mimic_cxr_jpg: {ours:.1f} ms, {quality_default:.1f} dB of its exact mode")
    print(
        json.dumps(
            {
                "ratio": round(ratio, 1),
                "psnr_db": round(quality, 1),
                "ratio_default": round(ratio_default, 1),
                "psnr_db_default": round(quality_default, 1),
            }
        )
    )


def usual(path: Path) -> NDArray[np.uint8]:
    """What most scripts do: pixel array, a window of percentiles in floats, Pillow's bicubic filter."""
    from pydicom import dcmread

    values = dcmread(path).pixel_array.astype(np.float32)
    low, high = np.percentile(values, PERCENTILES)
    grey = (np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return resize_exact(grey, 224)


def write_film(path: Path) -> Path:
    """Write the film as an uncompressed DICOM file."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = DigitalXRayImageStorageForPresentation
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = "2.25.1"
    image.Rows, image.Columns = HEIGHT, WIDTH
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelData = film(HEIGHT, WIDTH).tobytes()
    image["PixelData"].VR = "OW"
    image.save_as(path, enforce_file_format=True)
    return path


if __name__ == "__main__":
    main()
