-- Metrics: one row per number of any evaluation; values are shares, except where the metric says otherwise.
with evaluations as (
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
    union all
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
    from prediction_arf
    union all
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
    from prediction_shock
    union all
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
    from prediction_mortality
    union all
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
    from prediction_aki
    union all
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
    from prediction_readmission
)

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
from evaluations
order by task, dataset, cohort, method, mode, metric, k, split, seed
