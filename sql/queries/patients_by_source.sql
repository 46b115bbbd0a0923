-- How many patients have EHR records, X-rays, or both? One row per combination; MIMIC-III's patients by themselves.
with subjects as (
    select
        subject_id,
        bool_or(source = 'ehr') as has_ehr,
        bool_or(source = 'cxr') as has_cxr,
        bool_or(split = 'mimic_iii') as is_mimic_iii,
        count(*) as num_records
    from cohort_split
    group by subject_id
)

select
    case
        when is_mimic_iii then 'mimic_iii'
        when has_ehr and has_cxr then 'both'
        when has_ehr then 'ehr only'
        else 'cxr only'
    end as sources,
    count(*) as num_subjects,
    sum(num_records)::bigint as num_records
from subjects
group by sources
order by sources
