-- How many patients have EHR records, X-rays, or both? One row per combination.
with subjects as (
    select
        subject_id,
        bool_or(source = 'ehr') as has_ehr,
        bool_or(source = 'cxr') as has_cxr,
        count(*) as num_records
    from cohort_split
    group by subject_id
)

select
    case
        when has_ehr and has_cxr then 'both'
        when has_ehr then 'ehr only'
        else 'cxr only'
    end as sources,
    count(*) as num_subjects,
    sum(num_records)::bigint as num_records
from subjects
group by sources
order by sources
