-- How much better than chance is retrieval? One row per number of a method; values are shares, but for the median rank.
select
    results.task,
    results.cohort,
    results.mode,
    results.split,
    results.method,
    results.metric,
    results.k,
    results.seed,
    results.value,
    results.ci_low,
    results.ci_high,
    chance.value as chance,
    results.value / nullif(chance.value, 0) as times_chance,
    results.paper_value
from metrics as results
inner join metrics as chance
    on
        chance.method = 'chance'
        and results.task = chance.task
        and results.dataset = chance.dataset
        and results.cohort = chance.cohort
        and replace(results.mode, '/paper', '') = chance.mode
        and results.split = chance.split
        and results.metric = chance.metric
        and results.k = chance.k
where results.method not in ('chance', 'ceiling') and starts_with(results.task, 'retrieval')
order by
    results.task, results.cohort, results.mode, results.split, results.method, results.metric, results.k, results.seed
