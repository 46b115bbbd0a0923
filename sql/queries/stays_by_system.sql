-- Which clinical system charted how many ICU stays, and may the model see them? One row per system and cohort.
-- Only subjects in PhysioNet's CareVue subset are sure not to be in MIMIC-IV under another id.
select
    stays.database,
    stays.system,
    cohorts.split,
    count(*) as num_stays,
    count(distinct stays.subject_id) as num_subjects,
    count(distinct stays.subject_id) filter (where records.is_in_carevue_subset) as num_subjects_in_carevue_subset
from ehr_stays as stays
inner join ehr_records as records on stays.hadm_id = records.hadm_id
inner join cohort_split as cohorts on cohorts.source = 'ehr' and stays.hadm_id = cohorts.study_id
group by stays.database, stays.system, cohorts.split
order by stays.database, stays.system, cohorts.split
