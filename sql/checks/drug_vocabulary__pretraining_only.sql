-- Every drug of the vocabulary is counted over pre-training records alone: held-out subjects leave no trace.
-- severity: blocking; grain: one failing drug; tables: drug_vocabulary, ehr_codes, cohort_split.
with counts as (
    select
        codes.code,
        count(distinct codes.hadm_id) as num_records
    from ehr_codes as codes
    inner join cohort_split as cohorts on cohorts.source = 'ehr' and codes.hadm_id = cohorts.study_id
    where codes.kind = 'drug' and cohorts.split = 'pretrain'
    group by codes.code
)

select
    vocabulary.drug_index,
    vocabulary.drug,
    vocabulary.num_records,
    counts.num_records as num_pretrain_records
from drug_vocabulary as vocabulary
left join counts on vocabulary.drug = counts.code
where vocabulary.num_records is distinct from counts.num_records
order by vocabulary.drug_index
