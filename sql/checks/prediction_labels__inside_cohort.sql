-- An example stands in the cohort it is counted in, and its event lies between the index time and the horizon's end.
-- severity: blocking; grain: one failing example; tables: prediction_labels, prediction_stays, prediction_tasks.
select
    labels.task,
    labels.horizon,
    labels.cohort,
    labels.stay_id
from prediction_labels as labels
inner join prediction_tasks as tasks on labels.task = tasks.task and labels.horizon = tasks.horizon
left join prediction_stays as stays on labels.stay_id = stays.stay_id
where
    not coalesce(list_contains(stays.cohorts, labels.cohort), false)
    or labels.label != (labels.event_time is not null)
    or labels.event_time < labels.index_time
    or labels.event_time > labels.index_time + to_seconds(tasks.horizon_hours * 3600)
order by labels.task, labels.horizon, labels.cohort, labels.stay_id
