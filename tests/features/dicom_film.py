"""A DICOM file as tests need it: any values, any syntax, any attribute missing or strange."""

import io

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian


def write_dicom(path, values, **options):
    """Write `dicom_bytes` to a file and return its path."""
    path.write_bytes(dicom_bytes(values, **options))
    return path


def dicom_bytes(values, *, photometric="MONOCHROME2", syntax=ExplicitVRLittleEndian, **attributes):
    """Integer values (height, width) as a DICOM file; attributes overwrite or, as None, remove elements."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = "2.25.1"
    bits = 8 * values.dtype.itemsize
    header.Rows, header.Columns = values.shape
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = photometric
    header.BitsAllocated = header.BitsStored = bits
    header.HighBit = bits - 1
    header.PixelRepresentation = int(values.dtype.kind == "i")
    stored = values.astype(values.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<"))
    header.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
    header["PixelData"].VR = "OW"
    for name, value in attributes.items():
        if value is None:
            delattr(header, name)
        else:
            setattr(header, name, value)
    stream = io.BytesIO()
    header.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def film(height=300, width=260, seed=0):
    """A smooth 12-bit picture with a bright and a dark side and a little noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    smooth = 1500 + 900 * np.sin(x / width * 5) + 700 * np.cos(y / height * 7) + 400 * (x > width * 0.7)
    return (smooth + np.random.default_rng(seed).normal(0, 8, smooth.shape)).clip(0, 4095).astype(np.uint16)
