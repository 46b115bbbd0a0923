-- Metrics: one row per number of any evaluation; values are shares, except where the metric says otherwise.
select
    task,
    dataset,
    cohort,
    method,
    mode,
    metric,
    k,
    split,
    seed,
    value,
    ci_low,
    ci_high,
    n,
    num_positive,
    paper_value,
    fingerprint,
    synthetic
from retrieval_mimic_cxr
order by task, dataset, cohort, method, mode, metric, k, split, seed
