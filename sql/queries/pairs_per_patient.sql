-- How many linked pairs does each patient bring? One row per patient with both sources; nearest pair in days.
with ehr as (
    select
        subject_id,
        count(*) as num_ehr_records
    from ehr_records
    group by subject_id
),

cxr as (
    select
        subject_id,
        count(*) as num_cxr_records
    from cxr_records
    group by subject_id
),

pairs as (
    select
        subject_id,
        count(*) as num_pairs,
        min(gap_days) as nearest_gap_days
    from same_patient_pairs
    group by subject_id
)

select
    ehr.subject_id,
    ehr.num_ehr_records,
    cxr.num_cxr_records,
    coalesce(pairs.num_pairs, 0) as num_pairs,
    pairs.nearest_gap_days
from ehr
inner join cxr on ehr.subject_id = cxr.subject_id
left join pairs on ehr.subject_id = pairs.subject_id
order by num_pairs desc, ehr.subject_id asc
