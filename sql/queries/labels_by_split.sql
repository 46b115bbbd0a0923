-- How many examples and events has each task in each cohort and part of the split? One row per task, horizon, cohort
-- and part; competing are deaths in the horizon without the event.
select
    task,
    horizon,
    cohort,
    split,
    count(*) as num_examples,
    count(distinct subject_id) as num_subjects,
    count(*) filter (where label) as num_events,
    count(*) filter (where is_competing) as num_competing,
    round(avg(cast(label as integer)), 4) as prevalence
from prediction_labels
group by task, horizon, cohort, split
order by task, horizon, cohort, split
