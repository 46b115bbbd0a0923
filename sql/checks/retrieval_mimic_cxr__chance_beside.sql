-- Every retrieval number but a rank is a share, and has the number of chance beside it, in whichever mode it is run.
-- severity: blocking; grain: one failing number; tables: retrieval_mimic_cxr.
select
    results.method,
    results.metric,
    results.k,
    results.seed,
    results.value
from retrieval_mimic_cxr as results
left join retrieval_mimic_cxr as chance
    on
        chance.method = 'chance'
        and results.dataset = chance.dataset
        and results.cohort = chance.cohort
        and results.split = chance.split
        and replace(results.mode, '/paper', '') = chance.mode
        and results.metric = chance.metric
        and results.k = chance.k
where
    (results.metric != 'median_rank' and results.value not between 0 and 1)
    or chance.method is null
order by results.method, results.metric, results.k, results.seed
