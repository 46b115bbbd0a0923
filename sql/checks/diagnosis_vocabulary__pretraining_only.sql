-- Every code of the vocabulary is counted over pre-training records alone: held-out subjects leave no trace.
-- severity: blocking; grain: one failing code; tables: diagnosis_vocabulary, ehr_codes, cohort_split.
with counts as (
    select
        codes.icd_version,
        codes.code,
        count(distinct codes.hadm_id) as num_records
    from ehr_codes as codes
    inner join cohort_split as cohorts on cohorts.source = 'ehr' and codes.hadm_id = cohorts.study_id
    where codes.kind = 'diagnosis' and cohorts.split = 'pretrain'
    group by codes.icd_version, codes.code
)

select
    vocabulary.code_index,
    vocabulary.icd_version,
    vocabulary.icd_code,
    vocabulary.num_records,
    counts.num_records as num_pretrain_records
from diagnosis_vocabulary as vocabulary
left join counts on vocabulary.icd_version = counts.icd_version and vocabulary.icd_code = counts.code
where vocabulary.num_records is distinct from counts.num_records
order by vocabulary.code_index
