-- What a rule leaves and what it excludes are what was left before it; examples are those of prediction_labels, each
-- with the event or without it.
-- severity: blocking; grain: one failing step; tables: cohort_flow, prediction_labels.
with steps as (
    select
        cohort,
        task,
        step_index,
        kind,
        num_stays,
        num_excluded,
        lag(num_stays) over (partition by cohort, task order by step_index) as num_before
    from cohort_flow
    where kind != 'outcome'
),

ends as (
    select
        cohort,
        task,
        num_stays
    from steps
    qualify row_number() over (partition by cohort, task order by step_index desc) = 1
),

examples as (
    select
        cohort,
        task,
        count(distinct stay_id) as num_examples
    from prediction_labels
    group by cohort, task
),

failing as (
    select
        cohort,
        task,
        step_index
    from steps
    where kind = 'exclusion' and num_stays + num_excluded is distinct from num_before
    union
    select
        ends.cohort,
        ends.task,
        -1 as step_index
    from ends
    left join examples on ends.cohort = examples.cohort and ends.task = examples.task
    where ends.num_stays != coalesce(examples.num_examples, 0)
    union
    select
        outcomes.cohort,
        outcomes.task,
        outcomes.step_index
    from cohort_flow as outcomes
    inner join ends on outcomes.cohort = ends.cohort and outcomes.task = ends.task
    where outcomes.kind = 'outcome' and outcomes.num_stays + outcomes.num_excluded != ends.num_stays
)

select
    cohort,
    task,
    step_index
from failing
order by cohort, task, step_index
