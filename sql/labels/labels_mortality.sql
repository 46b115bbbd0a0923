-- Mortality: one row per stay of a cohort, with the death in hospital, in this stay or after it. Everybody who is left
-- at the index time is an example; a death exactly then is an event.
select
    subject_id,
    hadm_id,
    stay_id,
    index_time,
    excluded_by,
    case when excluded_by is null then death_time end as event_time,
    cast(null as timestamp) as death_time
from prediction_stays
where len(cohorts) > 0
order by stay_id
