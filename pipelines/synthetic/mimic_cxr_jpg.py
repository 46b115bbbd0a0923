"""Writes the metadata table of MIMIC-CXR-JPG, in which StudyTime is a number and has lost its leading zeros."""

from pathlib import Path

import polars as pl

from pipelines.synthetic.latent import Subjects
from pipelines.synthetic.mimic_cxr import DESCRIPTIONS, dicom_time, study_date
from pipelines.synthetic.studies import Studies
from pipelines.synthetic.writing import write_csv_gz

COLUMNS = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)
PROCEDURES = {"AP": "CHEST (PORTABLE AP)", "PA": "CHEST (PA AND LAT)", "LATERAL": "CHEST (PA AND LAT)"}
VIEWS = {"AP": "antero-posterior", "PA": "postero-anterior", "LATERAL": "lateral"}


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


def format_number(clock: str) -> str:
    """StudyTime as the table prints it: 080556.875 becomes 80556.875, 000012.500 becomes 12.5."""
    return repr(float(clock))
