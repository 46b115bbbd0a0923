-- Which numbers are of films that the model was trained on? One row per number with a mark; num_seen of num_films.
select
    metrics.task,
    metrics.dataset,
    metrics.cohort,
    metrics.method,
    metrics.mode,
    metrics.metric,
    metrics.k,
    metrics.split,
    metrics.value,
    exposure.seen,
    exposure.num_seen,
    exposure.num_films
from metrics
inner join exposure on metrics.method = exposure.method and metrics.dataset = exposure.dataset
where exposure.is_contaminated
order by
    metrics.task, metrics.cohort, metrics.method, metrics.mode, metrics.metric, metrics.k, metrics.split, metrics.value
