-- How far apart are linked records? One row per gap of five days; pairs inside the admission come first, as gap 0.
select
    case when gap_days = 0 then 'inside' else 'outside' end as where_it_lies,
    cast(floor(gap_days / 5) * 5 as integer) as from_days,
    count(*) as num_pairs,
    count(distinct subject_id) as num_subjects
from same_patient_pairs
group by where_it_lies, from_days
order by where_it_lies, from_days
