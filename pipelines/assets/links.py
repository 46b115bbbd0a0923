"""Links: cohorts, pairs of one patient, diagnosis histories. All of it is within a subject, all of it SQL."""

from data_contracts import features, links, records
from pipelines.assets.step import sql_step
from pipelines.sources import FILMS

cohort_split = sql_step(
    links.CohortSplit,
    "links/cohort_split.sql",
    inputs=[records.EhrRecords, records.CxrRecords],
    settings=lambda profile: {
        **profile.group("cohorts"),
        "shared_sources": [source.name for source in profile.sources if source.patients == "shared"],
        "own_sources": [source.name for source in profile.sources if source.patients == "own"],
        "labelled_sources": [films.source for films in FILMS.values() if not films.texts],
    },
)
same_patient_pairs = sql_step(
    links.SamePatientPairs,
    "links/same_patient_pairs.sql",
    inputs=[records.EhrRecords, records.CxrRecords],
    settings=lambda profile: {"theta_days": profile.links.theta_days, "gap_from": profile.links.gap_from},
)
diagnosis_histories = sql_step(
    links.DiagnosisHistories,
    "links/diagnosis_histories.sql",
    inputs=[
        records.EhrRecords,
        records.CxrRecords,
        records.AdmissionDiagnoses,
        features.DiagnosisVocabulary,
    ],
    settings=lambda profile: {"history": profile.links.history},
)

STEPS = (cohort_split, same_patient_pairs, diagnosis_histories)
