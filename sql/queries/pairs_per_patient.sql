-- How many linked pairs does each patient bring? One row per patient with admissions and films; nearest pair in days.
with ehr as (
    select
        subject_id,
        count(*) as num_ehr_records
    from ehr_records
    group by subject_id
),

films as (
    select
        subject_id,
        count(*) as num_films
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
    films.num_films,
    coalesce(pairs.num_pairs, 0) as num_pairs,
    pairs.nearest_gap_days
from ehr
inner join films on ehr.subject_id = films.subject_id
left join pairs on ehr.subject_id = pairs.subject_id
order by num_pairs desc, ehr.subject_id asc
