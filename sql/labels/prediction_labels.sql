-- Prediction labels: one row per task, horizon, cohort and example. The event counts from the index time to the end of
-- the horizon, inclusive; whoever died in that time without it has a competing outcome.
with examples as (
    select
        'arf' as task,
        subject_id,
        hadm_id,
        stay_id,
        index_time,
        event_time,
        death_time
    from labels_arf
    where excluded_by is null
    union all
    select
        'shock' as task,
        subject_id,
        hadm_id,
        stay_id,
        index_time,
        event_time,
        death_time
    from labels_shock
    where excluded_by is null
    union all
    select
        'mortality' as task,
        subject_id,
        hadm_id,
        stay_id,
        index_time,
        event_time,
        death_time
    from labels_mortality
    where excluded_by is null
    union all
    select
        'aki' as task,
        subject_id,
        hadm_id,
        stay_id,
        index_time,
        event_time,
        death_time
    from labels_aki
    where excluded_by is null
    union all
    select
        'readmission' as task,
        subject_id,
        hadm_id,
        stay_id,
        index_time,
        event_time,
        death_time
    from labels_readmission
    where excluded_by is null
    union all
    select
        'readmission_any' as task,
        subject_id,
        hadm_id,
        stay_id,
        index_time,
        any_event_time as event_time,
        death_time
    from labels_readmission
    where excluded_by is null and holds_all_admissions
),

in_cohorts as (
    select
        stay_id,
        unnest(cohorts) as cohort
    from prediction_stays
),

in_time as (
    select
        tasks.task,
        tasks.horizon,
        tasks.index_event,
        tasks.cohorts,
        examples.subject_id,
        examples.hadm_id,
        examples.stay_id,
        examples.index_time,
        examples.event_time,
        examples.death_time,
        examples.index_time + to_microseconds(cast(tasks.horizon_hours * 3600000000 as bigint)) as end_time
    from examples
    inner join prediction_tasks as tasks on examples.task = tasks.task
)

select
    in_time.task,
    in_time.horizon,
    in_cohorts.cohort,
    in_time.subject_id,
    in_time.hadm_id,
    in_time.stay_id,
    in_time.index_event,
    in_time.index_time,
    coalesce(in_time.event_time <= coalesce(in_time.end_time, in_time.event_time), false) as label,
    not coalesce(in_time.event_time <= coalesce(in_time.end_time, in_time.event_time), false)
    and coalesce(in_time.death_time <= coalesce(in_time.end_time, in_time.death_time), false) as is_competing,
    case when in_time.event_time <= coalesce(in_time.end_time, in_time.event_time) then in_time.event_time end
        as event_time,
    parts.split,
    parts.fold
from in_time
inner join in_cohorts on in_time.stay_id = in_cohorts.stay_id and list_contains(in_time.cohorts, in_cohorts.cohort)
inner join prediction_split as parts on in_time.subject_id = parts.subject_id
order by in_time.task, in_time.horizon, in_cohorts.cohort, in_time.stay_id
