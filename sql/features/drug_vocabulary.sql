-- Drug vocabulary: one row per drug held by enough pre-training EHR records, positions by name.
-- Variable: drug_min_records. Subjects held out of pre-training do not count.
with counts as (
    select
        codes.code as drug,
        count(distinct codes.hadm_id) as num_records
    from ehr_codes as codes
    inner join cohort_split as cohorts
        on cohorts.source = 'ehr' and codes.hadm_id = cohorts.study_id and cohorts.split = 'pretrain'
    where codes.kind = 'drug'
    group by codes.code
    having count(distinct codes.hadm_id) >= getvariable('drug_min_records')
)

select
    cast(row_number() over (order by drug) - 1 as integer) as drug_index,
    drug,
    num_records
from counts
order by drug_index
