"""Columns that several tables share: one name means one thing everywhere."""

import dataframely as dy

SOURCE = r"^[a-z][a-z0-9_]*$"
DATABASES = ["mimic_iii", "mimic_iii_carevue", "mimic_iv"]
SYSTEMS = ["both", "carevue", "metavision", "mimic_iv"]


def subject_id(*, nullable: bool = False) -> dy.Int64:
    """Return the de-identified patient, shared by MIMIC-IV and MIMIC-CXR; MIMIC-III's ids are below 100,000."""
    return dy.Int64(nullable=nullable, min=1, description="De-identified patient; the same in MIMIC-IV and MIMIC-CXR.")


def hadm_id(*, nullable: bool = False) -> dy.Int64:
    """Return the hospital admission."""
    return dy.Int64(nullable=nullable, min=1, description="Hospital admission.")


def stay_id(*, nullable: bool = False) -> dy.Int64:
    """Return the ICU stay."""
    return dy.Int64(nullable=nullable, min=1, description="ICU stay.")


def study_id() -> dy.Int64:
    """Return the radiology study: one report, one or more images."""
    return dy.Int64(min=1, description="Radiology study: one report, one or more images.")


def dicom_id() -> dy.String:
    """Return the image: five groups of eight hexadecimal digits."""
    return dy.String(regex=r"^[0-9a-f]{8}(-[0-9a-f]{8}){4}$", description="Image: five groups of eight hex digits.")


def itemid() -> dy.Int64:
    """Return what was measured; described in d_items or d_labitems."""
    return dy.Int64(min=1, description="What was measured; described in d_items or d_labitems.")


def shard() -> dy.Int32:
    """Return the file that a row belongs to, in a table of one row or more per shard instead of per subject."""
    return dy.Int32(min=0, description="File that it stands for: the subjects that hash to it.")


def statistic() -> dy.Enum:
    """Return what of an hour's readings a value shows."""
    return dy.Enum(
        ["value", "mask", "delta_time", "min", "max", "mean"], description="What of the bin's readings it shows."
    )


def source() -> dy.String:
    """Return the source of a record: ehr (admissions), or one of images, as the release's films say."""
    return dy.String(regex=SOURCE, description="Source of the record: ehr (admissions), cxr (MIMIC-CXR's images), ...")


def split() -> dy.String:
    """Return the cohort of a record; X-rays that nothing is trained on are searched or classified, by release."""
    return dy.String(
        regex=rf"^(ehr_holdout|mimic_iii|pretrain|unused|(retrieval|zero_shot)_{SOURCE[1:-1]})$",
        description="pretrain, ehr_holdout, mimic_iii, retrieval_<release>, zero_shot_<release>, or unused.",
    )


def database() -> dy.Enum:
    """Return the database that an EHR row comes from."""
    return dy.Enum(DATABASES, description="Database: mimic_iv, mimic_iii, or its subset mimic_iii_carevue.")


def record_id() -> dy.String:
    """Return the record within its source: hadm_id as text, or the name of the image."""
    return dy.String(min_length=1, description="Record within its source: hadm_id as text, or name of the image.")


def time(description: str, *, nullable: bool = False) -> dy.Datetime:
    """Return a timestamp in the subject's shifted calendar, microseconds, no zone."""
    return dy.Datetime(nullable=nullable, time_unit="us", description=f"{description} (shifted calendar, no zone)")


def text(description: str, *, nullable: bool = True) -> dy.String:
    """Return a text column."""
    return dy.String(nullable=nullable, description=description)


def sha256(description: str) -> dy.String:
    """Return a sha256 digest in hexadecimal digits."""
    return dy.String(regex=r"^[0-9a-f]{64}$", description=description)
