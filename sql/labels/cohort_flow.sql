-- Cohort flow: one row per cohort, task and step: all stays of the database and clinical system, those that each rule
-- leaves, then how many of the last have the event in each horizon, or died in it without the event.
with judged as (
    select
        'arf' as task,
        stay_id,
        excluded_by
    from labels_arf
    union all
    select
        'shock' as task,
        stay_id,
        excluded_by
    from labels_shock
    union all
    select
        'mortality' as task,
        stay_id,
        excluded_by
    from labels_mortality
    union all
    select
        'aki' as task,
        stay_id,
        excluded_by
    from labels_aki
    union all
    select
        'readmission' as task,
        stay_id,
        excluded_by
    from labels_readmission
    union all
    select
        'readmission_any' as task,
        stay_id,
        case
            when excluded_by is not null then excluded_by
            when not holds_all_admissions then 'admissions_not_held'
        end as excluded_by
    from labels_readmission
),

tasks as (
    select distinct
        task,
        cohorts,
        exclusions
    from prediction_tasks
),

task_cohorts as (
    select
        task,
        unnest(cohorts) as cohort,
        exclusions
    from tasks
),

candidates as (
    select
        stay_id,
        subject_id,
        unnest(candidate_of) as cohort,
        cohorts
    from prediction_stays
),

examined as (
    select
        task_cohorts.task,
        task_cohorts.cohort,
        candidates.stay_id,
        candidates.subject_id,
        coalesce(
            list_position(
                task_cohorts.exclusions,
                if(list_contains(candidates.cohorts, candidates.cohort), judged.excluded_by, 'outside_cohort')
            ),
            999
        ) as excluded_at
    from task_cohorts
    inner join candidates on task_cohorts.cohort = candidates.cohort
    left join judged on candidates.stay_id = judged.stay_id and task_cohorts.task = judged.task
),

rules as (
    select
        task,
        cohort,
        0 as step_index,
        'start' as kind,
        'candidates' as step
    from task_cohorts
    union all
    select
        task,
        cohort,
        unnest(range(1, len(exclusions) + 1)) as step_index,
        'exclusion' as kind,
        unnest(exclusions) as step
    from task_cohorts
),

left_over as (
    select
        rules.cohort,
        rules.task,
        rules.step_index,
        rules.kind,
        rules.step,
        count(examined.stay_id) filter (where examined.excluded_at > rules.step_index) as num_stays,
        count(distinct examined.subject_id) filter (where examined.excluded_at > rules.step_index) as num_subjects,
        count(examined.stay_id) filter (where examined.excluded_at = rules.step_index) as num_excluded
    from rules
    left join examined on rules.task = examined.task and rules.cohort = examined.cohort
    group by rules.cohort, rules.task, rules.step_index, rules.kind, rules.step
),

outcomes as (
    select
        task,
        horizon,
        unnest(cohorts) as cohort,
        100 + 2 * (row_number() over (partition by task order by horizon_hours nulls first) - 1) as step_index
    from prediction_tasks
),

happened as (
    select
        outcomes.cohort,
        outcomes.task,
        outcomes.step_index,
        'outcome' as kind,
        'event in ' || outcomes.horizon as step,
        count(examples.stay_id) filter (where examples.label) as num_stays,
        count(distinct examples.subject_id) filter (where examples.label) as num_subjects,
        count(examples.stay_id) filter (where not examples.label) as num_excluded
    from outcomes
    left join prediction_labels as examples
        on
            outcomes.cohort = examples.cohort and outcomes.task = examples.task
            and outcomes.horizon = examples.horizon
    group by outcomes.cohort, outcomes.task, outcomes.step_index, outcomes.horizon
    union all
    select
        outcomes.cohort,
        outcomes.task,
        outcomes.step_index + 1 as step_index,
        'outcome' as kind,
        'death without event in ' || outcomes.horizon as step,
        count(examples.stay_id) filter (where examples.is_competing) as num_stays,
        count(distinct examples.subject_id) filter (where examples.is_competing) as num_subjects,
        count(examples.stay_id) filter (where not examples.is_competing) as num_excluded
    from outcomes
    left join prediction_labels as examples
        on
            outcomes.cohort = examples.cohort and outcomes.task = examples.task
            and outcomes.horizon = examples.horizon
    group by outcomes.cohort, outcomes.task, outcomes.step_index, outcomes.horizon
),

steps as (
    select
        cohort,
        task,
        step_index,
        kind,
        step,
        num_stays,
        num_subjects,
        num_excluded
    from left_over
    union all
    select
        cohort,
        task,
        step_index,
        kind,
        step,
        num_stays,
        num_subjects,
        num_excluded
    from happened
)

select
    cohort,
    task,
    cast(step_index as integer) as step_index,
    kind,
    step,
    num_stays,
    num_subjects,
    num_excluded
from steps
order by cohort, task, step_index
