"""Features: vocabularies fitted on pre-training subjects, tokens, pixels; hourly cells are in `series`."""

import polars as pl

from data_contracts import features, links, records, tables
from pipelines.assets import series
from pipelines.assets.images import cxr_images
from pipelines.assets.series import pretrain_subjects
from pipelines.assets.step import Build, sql_step, step
from pipelines.features import demographics_shift as shift
from pipelines.features import tokens

MOST_OVERLAP_PAIRS = 2000
"""Pairs of texts that are compared word by word; of more, a fixed draw."""

diagnosis_vocabulary = sql_step(
    features.DiagnosisVocabulary,
    "features/diagnosis_vocabulary.sql",
    inputs=[records.EhrCodes, links.CohortSplit, tables.MimicIvDIcdDiagnoses],
    settings=lambda profile: {"diagnosis_min_records": profile.vocabularies.diagnosis_min_records},
)
drug_vocabulary = sql_step(
    features.DrugVocabulary,
    "features/drug_vocabulary.sql",
    inputs=[records.EhrCodes, links.CohortSplit],
    settings=lambda profile: {"drug_min_records": profile.vocabularies.drug_min_records},
)
vocabulary_coverage = sql_step(
    features.VocabularyCoverage,
    "features/vocabulary_coverage.sql",
    inputs=[
        *(records.EhrRecords, records.EhrCodes, links.CohortSplit),
        *(features.DiagnosisVocabulary, features.DrugVocabulary),
    ],
)
note_report_overlap = sql_step(
    features.NoteReportOverlap,
    "features/note_report_overlap.sql",
    inputs=[
        *(records.EhrRecords, records.EhrNotes, records.CxrRecords, records.CxrReports),
        *(links.SamePatientPairs, links.CohortSplit),
    ],
    settings=lambda profile: {"max_pairs": MOST_OVERLAP_PAIRS},
)


@step(features.DemographicsShift, inputs=[records.EhrRecords, records.EhrDemographics], kinds=("scikitlearn",))
def demographics_shift(build: Build) -> pl.DataFrame:
    """Try to tell the databases apart by demographics."""
    databases = build.scan(records.EhrRecords).select("hadm_id", "database")
    return shift.demographics_shift(
        build.scan(records.EhrDemographics).join(databases, on="hadm_id", how="inner").collect()
    )


def _tokenizer_settings(profile: object) -> dict[str, object]:
    from pipelines.profiles import Profile

    assert isinstance(profile, Profile)
    return {"tokenizer": profile.vocabularies.tokenizer, "size": profile.vocabularies.tokenizer_size}


@step(
    features.TokenizerVocabulary,
    inputs=[records.EhrNotes, records.CxrReports, links.CohortSplit],
    settings=_tokenizer_settings,
)
def tokenizer_vocabulary(build: Build) -> pl.DataFrame:
    """Train the word pieces on the texts of pre-training subjects, or read those of the text tower."""
    if build.settings["tokenizer"] == "weights":
        return tokens.load_wordpiece(build.workspace.weights("biomedclip"))
    subjects = pretrain_subjects(build)
    texts = pl.concat(
        build.scan(contract).join(subjects, on="subject_id", how="semi").select("text")
        for contract in (records.EhrNotes, records.CxrReports)
    )
    return tokens.train_wordpiece(texts.collect()["text"], size=build.settings["size"])


@step(
    features.TextTokens,
    inputs=[records.EhrNotes, records.CxrReports, features.TokenizerVocabulary],
    settings=lambda profile: {"context_length": profile.vocabularies.context_length},
    by_shard=True,
)
def text_tokens(build: Build) -> pl.LazyFrame | pl.DataFrame:
    """Tokenise every note and every report once."""
    notes = build.scan(records.EhrNotes).select(
        source=pl.lit("ehr"), text_id=pl.col("hadm_id").cast(pl.String), subject_id="subject_id", text="text"
    )
    reports = build.scan(records.CxrReports).select(
        "source", pl.col("study_id").cast(pl.String).alias("text_id"), "subject_id", "text"
    )
    texts = pl.concat([notes, reports]).collect()
    return tokens.tokenize(
        texts, build.frame(features.TokenizerVocabulary), context_length=build.settings["context_length"]
    )


STEPS = (
    diagnosis_vocabulary,
    drug_vocabulary,
    vocabulary_coverage,
    note_report_overlap,
    demographics_shift,
    tokenizer_vocabulary,
    text_tokens,
    cxr_images,
    *series.STEPS,
)
