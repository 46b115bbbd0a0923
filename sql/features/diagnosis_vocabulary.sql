-- Diagnosis vocabulary: one row per code held by enough pre-training EHR records, positions by version and code.
-- Variable: diagnosis_min_records. Subjects held out of pre-training do not count.
with counts as (
    select
        codes.icd_version,
        codes.code as icd_code,
        count(distinct codes.hadm_id) as num_records,
        count(distinct codes.subject_id) as num_subjects
    from ehr_codes as codes
    inner join cohort_split as cohorts
        on cohorts.source = 'ehr' and codes.hadm_id = cohorts.study_id and cohorts.split = 'pretrain'
    where codes.kind = 'diagnosis'
    group by codes.icd_version, codes.code
    having count(distinct codes.hadm_id) >= getvariable('diagnosis_min_records')
)

select
    cast(row_number() over (order by counts.icd_version, counts.icd_code) - 1 as integer) as code_index,
    counts.icd_version,
    counts.icd_code,
    counts.num_records,
    counts.num_subjects,
    titles.long_title as title
from counts
left join mimic_iv__d_icd_diagnoses as titles
    on counts.icd_version = titles.icd_version and counts.icd_code = titles.icd_code
order by code_index
