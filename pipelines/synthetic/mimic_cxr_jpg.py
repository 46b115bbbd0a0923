"""Writes the tables of MIMIC-CXR-JPG: metadata, split, labels. In metadata StudyTime has lost its leading zeros.

The names of the files keep 2.0.0 in release 2.1.0, which adds labels read by people. Not here: the images, which are
written beside the DICOM files (`mimic_cxr`).
"""

from pathlib import Path

import numpy as np
import polars as pl

from lake.ids import id_share
from pipelines.synthetic.latent import Subjects
from pipelines.synthetic.mimic_cxr import DESCRIPTIONS, dicom_time, study_date
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.settings import SyntheticSettings
from pipelines.synthetic.studies import Studies
from pipelines.synthetic.writing import write_csv_gz
from pipelines.synthetic.xray_labels import as_printed, observations

COLUMNS = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)
PROCEDURES = {"AP": "CHEST (PORTABLE AP)", "PA": "CHEST (PA AND LAT)", "LATERAL": "CHEST (PA AND LAT)"}
VIEWS = {"AP": "antero-posterior", "PA": "postero-anterior", "LATERAL": "lateral"}
SPLITS = ("train", "validate", "test")
SPLIT_ENDS = (0.8, 0.9)


def write_metadata(root: Path, subjects: Subjects, studies: Studies, *, image_size: int) -> None:
    """Write mimic-cxr-2.0.0-metadata.csv.gz, one row per image; some orientations are empty, as published."""
    rows = []
    for name, study, view in zip(studies.dicom_id, studies.study.tolist(), studies.view, strict=True):
        time = studies.time[study]
        clock = dicom_time(time)
        erect = "Erect" if view != "AP" else (None if int(name[:2], 16) % 3 else "Recumbent")
        rows.append(
            (
                name,
                int(subjects.subject_id[studies.subject[study]]),
                int(studies.study_id[study]),
                DESCRIPTIONS[view],
                view,
                image_size,
                image_size,
                int(study_date(time)),
                format_number(clock),
                PROCEDURES[view],
                VIEWS[view],
                erect,
            )
        )
    table = pl.DataFrame(rows, schema=COLUMNS.split(","), orient="row", infer_schema_length=None)
    write_csv_gz(root / "mimic-cxr-2.0.0-metadata.csv.gz", table.sort("subject_id", "study_id", "dicom_id"))


def write_labels(root: Path, subjects: Subjects, studies: Studies, *, settings: SyntheticSettings) -> None:
    """Write the split, both labelers' tables, and in 2.1.0 what people read in the test set."""
    subject_id = subjects.subject_id[studies.subject]
    parts = [SPLITS[int(np.searchsorted(SPLIT_ENDS, id_share("split", id_), "right"))] for id_ in subject_id.tolist()]
    split = pl.DataFrame(
        {
            "dicom_id": studies.dicom_id,
            "study_id": studies.study_id[studies.study],
            "subject_id": subject_id[studies.study],
            "split": [parts[study] for study in studies.study.tolist()],
        }
    )
    write_csv_gz(root / "mimic-cxr-2.0.0-split.csv.gz", split.sort("subject_id", "study_id", "dicom_id"))
    ids = pl.DataFrame({"subject_id": subject_id, "study_id": studies.study_id})
    for labeler in ("chexpert", "negbio"):
        labels = observations(studies.findings, random=generator(settings.seed, "labeler", labeler))
        table = pl.concat([ids, as_printed(labels)], how="horizontal").sort("subject_id", "study_id")
        write_csv_gz(root / f"mimic-cxr-2.0.0-{labeler}.csv.gz", table)
    if settings.mimic_cxr_release == "2.1.0":
        read = observations(studies.findings, random=generator(settings.seed, "readers"), unsure=False)
        table = pl.concat([ids.select("study_id"), as_printed(read)], how="horizontal")
        table = table.filter(pl.Series(parts) == "test").rename({"Lung Opacity": "Airspace Opacity"})
        table.sort("study_id").write_csv(root / "mimic-cxr-2.1.0-test-set-labeled.csv")


def format_number(clock: str) -> str:
    """StudyTime as the table prints it: 080556.875 becomes 80556.875, 000012.500 becomes 12.5."""
    return repr(float(clock))
