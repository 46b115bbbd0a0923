"""Writes whole sets of raw sources. What each file holds is decided by the modules it calls."""

from pathlib import Path

import polars as pl

from pipelines.synthetic.chexpert import write_chexpert
from pipelines.synthetic.cohort import Cohort
from pipelines.synthetic.conditions import CONDITIONS, SIGNATURE
from pipelines.synthetic.covid19 import write_covid19
from pipelines.synthetic.critical import draw_cohort, draw_holdout
from pipelines.synthetic.latent import Admissions, Subjects, severity_at
from pipelines.synthetic.mimic_cxr import report_texts, write_mimic_cxr
from pipelines.synthetic.mimic_cxr_jpg import write_labels, write_metadata
from pipelines.synthetic.mimic_iii import Tables, carevue_subset, mimic_iii_tables, write_mimic_iii
from pipelines.synthetic.mimic_iii_people import Members, draw_members
from pipelines.synthetic.mimic_iv_note import discharge_notes, quoted_reports, write_notes
from pipelines.synthetic.mimic_iv_tree import join_mimic_iv, render_mimic_iv, write_mimic_iv
from pipelines.synthetic.open_i import write_open_i
from pipelines.synthetic.settings import FOLDERS, SyntheticSettings
from pipelines.synthetic.studies import FINDINGS, Studies, draw_studies
from pipelines.synthetic.writing import new_folder, write_checksums, write_parquet

Quirks = list[dict[str, object]]
HOSPITALS = {"mimic_iv", "mimic_iv_note", "mimic_iii", "mimic_iii_carevue"}


def write_sources(raw: Path, *, settings: SyntheticSettings) -> None:
    """Write the raw trees of one synthetic world, those that the settings name.

    Args:
        raw: gets one folder for each of `settings.sources`, named as `FOLDERS` says, and truth/; replaced as a whole at
            the end.
        settings: size, layouts and seed.
    """
    cohort = draw_cohort(settings)
    studies = draw_studies(cohort.subjects, cohort.admissions, settings=settings)
    with new_folder(raw) as folder:
        quirks = _write_hospital(folder, cohort, studies, settings=settings)
        if "mimic_cxr" in settings.sources:
            quirks += write_xrays(folder, cohort.subjects, studies, settings=settings)
        for name, write in (("open_i", write_open_i), ("covid19", write_covid19), ("chexpert", write_chexpert)):
            if name in settings.sources:
                write(folder / FOLDERS[name], settings=settings)
        if settings.checksums:
            for name in settings.sources:
                write_checksums(folder / FOLDERS[name])
        write_truth(folder / "truth", cohort.subjects, cohort.admissions, studies, quirks)


def _write_hospital(folder: Path, cohort: Cohort, studies: Studies, *, settings: SyntheticSettings) -> Quirks:
    """Write every tree that holds hospital records; return the planted cases of MIMIC-IV."""
    if not HOSPITALS & set(settings.sources):
        return []
    last_seen = dict(zip(studies.subject.tolist(), studies.time, strict=True))  # studies ascend in time
    iv = render_mimic_iv(cohort, last_seen=last_seen, settings=settings)
    cohorts = [cohort]
    if settings.num_holdout_subjects:
        cohorts.append(draw_holdout(settings, taken=cohort.ids()))
        iv = join_mimic_iv(iv, render_mimic_iv(cohorts[-1], settings=settings))
    if "mimic_iv" in settings.sources:
        write_mimic_iv(folder / FOLDERS["mimic_iv"], iv)
    summaries = _write_notes(folder, cohorts, studies, settings=settings)
    if {"mimic_iii", "mimic_iii_carevue"} & set(settings.sources):
        taken = {id_ for each in cohorts for id_ in each.ids()}
        members = draw_members(cohort, iv, settings=settings, taken=taken)
        tables = mimic_iii_tables(members, iv, summaries, settings=settings)
        _write_mimic_iii(folder, tables, members, settings=settings)
    return iv.quirks


def _write_notes(folder: Path, cohorts: list[Cohort], studies: Studies, *, settings: SyntheticSettings) -> pl.DataFrame:
    """Write MIMIC-IV-Note if asked for; return the discharge summaries of the first cohort: MIMIC-III has some too."""
    seed = settings.seed
    texts = report_texts(cohorts[0].subjects, studies, seed=seed)
    quotes = quoted_reports(cohorts[0], studies, texts, share=settings.quoted_share, seed=seed)
    summaries = [discharge_notes(each.subjects, each.admissions, seed=seed, quotes=quotes) for each in cohorts]
    if "mimic_iv_note" in settings.sources:
        root = folder / FOLDERS["mimic_iv_note"]
        write_notes(root, pl.concat(summaries), cohorts, studies, texts, seed=seed)
    return summaries[0]


def _write_mimic_iii(folder: Path, tables: Tables, members: Members, *, settings: SyntheticSettings) -> None:
    layout = settings.mimic_iii_layout
    if "mimic_iii" in settings.sources:
        write_mimic_iii(folder / FOLDERS["mimic_iii"], tables, layout=layout)
    if "mimic_iii_carevue" in settings.sources:
        write_mimic_iii(folder / FOLDERS["mimic_iii_carevue"], carevue_subset(tables, members), layout=layout)
    for name in ("subjects", "admissions", "stays"):
        write_parquet(folder / "truth" / f"mimic_iii_{name}.parquet", getattr(members, name))


def write_xrays(folder: Path, subjects: Subjects, studies: Studies, *, settings: SyntheticSettings) -> Quirks:
    """Write mimic-cxr/, and mimic-cxr-jpg/ if asked for, below a folder; return the planted cases."""
    jpg = folder / FOLDERS["mimic_cxr_jpg"] if "mimic_cxr_jpg" in settings.sources else None
    films = jpg if settings.jpg_images else None
    quirks = write_mimic_cxr(folder / FOLDERS["mimic_cxr"], subjects, studies, settings=settings, jpg=films)
    if jpg is not None:
        write_metadata(jpg, subjects, studies, image_size=settings.image_size)
        write_labels(jpg, subjects, studies, settings=settings)
    return quirks


def write_truth(folder: Path, subjects: Subjects, admissions: Admissions, studies: Studies, quirks: Quirks) -> None:
    """Write what was planted, for tests and documentation: subjects, admissions, studies, images, quirks."""
    who = {"subject_id": subjects.subject_id, "has_ehr": subjects.has_ehr, "has_cxr": subjects.has_cxr}
    signature = {f"signature_{name}": subjects.signature[:, at] for at, name in enumerate(SIGNATURE)}
    carried = {f"carried_{name}": subjects.carried[:, at] for at, name in enumerate(CONDITIONS)}
    write_parquet(folder / "subjects.parquet", pl.DataFrame(who | signature | carried))
    severity = severity_at(subjects, admissions, subject=admissions.subject, time=admissions.admit)
    when = {
        "hadm_id": admissions.hadm_id,
        "subject_id": subjects.subject_id[admissions.subject],
        "written": subjects.has_ehr[admissions.subject],
        "admittime": admissions.admit.astype("datetime64[ms]"),
        "dischtime": admissions.discharge.astype("datetime64[ms]"),
    }
    levels = {name: severity[:, at] for at, name in enumerate(CONDITIONS)}
    write_parquet(folder / "admissions.parquet", pl.DataFrame(when | levels))
    films = {"study_id": studies.study_id, "subject_id": subjects.subject_id[studies.subject], "time": studies.time}
    findings = {name: studies.findings[:, at] for at, name in enumerate(FINDINGS)}
    write_parquet(folder / "studies.parquet", pl.DataFrame(films | findings))
    images = {"dicom_id": studies.dicom_id, "study_id": studies.study_id[studies.study], "view": studies.view}
    write_parquet(folder / "images.parquet", pl.DataFrame(images))
    columns = {
        "quirk": pl.String,
        "subject_id": pl.Int64,
        "hadm_id": pl.Int64,
        "stay_id": pl.Int64,
        "study_id": pl.Int64,
    }
    rows = [{name: quirk.get(name) for name in columns} for quirk in quirks]
    write_parquet(folder / "quirks.parquet", pl.DataFrame(rows, schema=columns).sort(pl.all()))
