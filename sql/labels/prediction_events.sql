-- Prediction events: one row per task, horizon and cohort: examples and events of each part of the split, and the first
-- thing that keeps the task from being learned on the split or by cross-validation.
-- Variable: num_folds.
with asked as (
    select
        task,
        horizon,
        unnest(cohorts) as cohort
    from prediction_tasks
),

counted as (
    select
        task,
        horizon,
        cohort,
        count(*) as num_examples,
        count(distinct subject_id) as num_subjects,
        count(*) filter (where label) as num_events,
        count(*) filter (where is_competing) as num_competing,
        count(*) filter (where split = 'train') as num_train,
        count(*) filter (where split = 'train' and label) as num_train_events,
        count(*) filter (where split = 'validation') as num_validation,
        count(*) filter (where split = 'validation' and label) as num_validation_events,
        count(*) filter (where split = 'test') as num_test,
        count(*) filter (where split = 'test' and label) as num_test_events
    from prediction_labels
    group by task, horizon, cohort
),

folds as (
    select
        task,
        horizon,
        cohort,
        fold
    from prediction_labels
    group by task, horizon, cohort, fold
    having bool_or(label) and not bool_and(label)
),

usable_folds as (
    select
        task,
        horizon,
        cohort,
        count(*) as num_folds
    from folds
    group by task, horizon, cohort
),

complete as (
    select
        asked.task,
        asked.horizon,
        asked.cohort,
        coalesce(counted.num_examples, 0) as num_examples,
        coalesce(counted.num_subjects, 0) as num_subjects,
        coalesce(counted.num_events, 0) as num_events,
        coalesce(counted.num_competing, 0) as num_competing,
        coalesce(counted.num_train, 0) as num_train,
        coalesce(counted.num_train_events, 0) as num_train_events,
        coalesce(counted.num_validation, 0) as num_validation,
        coalesce(counted.num_validation_events, 0) as num_validation_events,
        coalesce(counted.num_test, 0) as num_test,
        coalesce(counted.num_test_events, 0) as num_test_events,
        coalesce(usable_folds.num_folds, 0) as num_folds
    from asked
    left join counted
        on asked.task = counted.task and asked.horizon = counted.horizon and asked.cohort = counted.cohort
    left join usable_folds
        on
            asked.task = usable_folds.task and asked.horizon = usable_folds.horizon
            and asked.cohort = usable_folds.cohort
),

judged as (
    select
        task,
        horizon,
        cohort,
        case
            when num_examples = 0 then 'no_example'
            when num_events = 0 then 'no_event'
            when num_events = num_examples then 'no_other'
        end as obstacle
    from complete
)

select
    complete.task,
    complete.horizon,
    complete.cohort,
    complete.num_examples,
    complete.num_subjects,
    complete.num_events,
    complete.num_competing,
    complete.num_train,
    complete.num_train_events,
    complete.num_validation,
    complete.num_validation_events,
    complete.num_test,
    complete.num_test_events,
    complete.num_folds,
    case
        when judged.obstacle is not null then judged.obstacle
        when complete.num_train_events in (0, complete.num_train) then 'one_class_in_train'
        when complete.num_validation_events in (0, complete.num_validation) then 'one_class_in_validation'
        when complete.num_test_events in (0, complete.num_test) then 'one_class_in_test'
    end as split_obstacle,
    case
        when judged.obstacle is not null then judged.obstacle
        when complete.num_subjects < getvariable('num_folds') then 'fewer_subjects_than_folds'
        when complete.num_folds < getvariable('num_folds') then 'one_class_in_fold'
    end as fold_obstacle
from complete
inner join judged
    on complete.task = judged.task and complete.horizon = judged.horizon and complete.cohort = judged.cohort
order by complete.task, complete.horizon, complete.cohort
