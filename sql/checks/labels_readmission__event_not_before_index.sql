-- Every stay of a cohort has its label, no other stay has one, and an event is after the discharge and of an example.
-- severity: blocking; grain: one failing stay; tables: labels_readmission, prediction_stays.
select
    coalesce(labels.stay_id, stays.stay_id) as stay_id,
    labels.index_time,
    labels.event_time
from labels_readmission as labels
full join
    (select prediction_stays.stay_id from prediction_stays where len(prediction_stays.cohorts) > 0) as stays
    on labels.stay_id = stays.stay_id
where
    labels.stay_id is null or stays.stay_id is null
    or labels.event_time <= labels.index_time
    or labels.any_event_time <= labels.index_time
    or (labels.excluded_by is not null and labels.event_time is not null)
order by stay_id
