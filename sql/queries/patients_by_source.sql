-- How many patients have records of which sources? One row per combination; MIMIC-III's patients by themselves.
with subjects as (
    select
        subject_id,
        string_agg(distinct source, ' and ' order by source) as held,
        bool_or(split = 'mimic_iii') as is_mimic_iii,
        count(*) as num_records
    from cohort_split
    group by subject_id
)

select
    case
        when is_mimic_iii then 'mimic_iii'
        else held
    end as sources,
    count(*) as num_subjects,
    sum(num_records)::bigint as num_records
from subjects
group by sources
order by sources
