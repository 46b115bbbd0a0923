-- Cohorts without a single event of a task in one of its horizons, or without an example: nothing can be learned there.
-- severity: warning; grain: one cohort, task and horizon; tables: cohort_flow.
select
    cohort,
    task,
    step,
    num_stays + num_excluded as num_examples
from cohort_flow
where kind = 'outcome' and step like 'event in %' and num_stays = 0
order by cohort, task, step
