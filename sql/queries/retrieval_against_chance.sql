-- How much better than chance is retrieval? One row per method, metric and cut-off; values are shares.
select
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
        and results.metric = chance.metric
        and results.k = chance.k
where results.method != 'chance'
order by results.method, results.metric, results.k, results.seed
